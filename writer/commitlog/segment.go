package commitlog

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// segment is one file of a log. Who holds a transaction holds its segment, and with it the open file: when nobody does any more the
// file is closed by the garbage collector, long after it may have been removed.
type segment struct {
	path   string
	number uint64
	file   *os.File

	// What follows belongs to who has the log's turn.
	end  int64  // where the next record goes
	room int64  // size of the file: what lies between end and room is zeros, on the disk already
	last uint64 // the last transaction in it, or before it

	chain uint32 // checksum at the end of its last record
}

const segmentSuffix = ".log"

func segmentName(number uint64) string { return fmt.Sprintf("%016x%s", number, segmentSuffix) }

// segmentPaths returns the segments in a directory, oldest first.
func segmentPaths(dir string) ([]*segment, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var segs []*segment
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), segmentSuffix)
		number, err := strconv.ParseUint(name, 16, 64)
		if !ok || err != nil || len(name) != 16 {
			continue
		}
		segs = append(segs, &segment{path: filepath.Join(dir, e.Name()), number: number})
	}
	slices.SortFunc(segs, func(a, b *segment) int { return cmp.Compare(a.number, b.number) })
	return segs, nil
}

// ahead is how much a segment grows at a time, in bytes.
const ahead = 256 << 10

var zeros [ahead]byte

// grow writes zeros ahead of the end, so that a commit overwrites blocks that the file has already: to sync those takes no change
// of the file's metadata.
func (s *segment) grow(need int64) error {
	if s.end+need <= s.room || need >= ahead {
		return nil
	}
	if _, err := s.file.WriteAt(zeros[:], max(s.end, s.room)); err != nil {
		return err
	}
	s.room = max(s.end, s.room) + ahead
	return nil
}
