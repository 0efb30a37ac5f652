package hydrate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"slices"
	"time"

	"github.com/litefs-s3/litefs-s3/index"
)

// state is what the state file says: these pages are present, as of this TXID of this replica.
type state struct {
	name     string // of the replica
	pageSize uint32 // bytes
	commit   uint32 // pages
	txid     index.TXID
	files    []index.File // of the View, and landmarks: they tell one history of a replica from another
	closed   stamp        // of the database file when it was closed; zero while it is open, and after a crash
	present  *bitmap
}

// stamp tells whether somebody else has written to a file.
type stamp struct {
	size     int64
	modified int64 // Unix nanoseconds
}

func stampOf(info fs.FileInfo) stamp { return stamp{info.Size(), info.ModTime().UnixNano()} }

func (s stamp) String() string {
	return fmt.Sprintf("%d bytes of %s", s.size, time.Unix(0, s.modified).UTC().Format(time.RFC3339Nano))
}

const (
	stateMagic  = "litefs-s3 hydration\n"
	stateFormat = 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errState: the state file is not what this package writes.
var errState = errors.New("state file is damaged")

// encode returns the snapshot that a state file begins with. The journal follows.
func (s *state) encode() []byte {
	be := binary.BigEndian
	b := append([]byte(nil), stateMagic...)
	b = be.AppendUint32(b, stateFormat)
	b = be.AppendUint32(b, s.pageSize)
	b = be.AppendUint32(b, s.commit)
	b = be.AppendUint64(b, uint64(s.txid))
	b = be.AppendUint64(b, uint64(s.closed.size))
	b = be.AppendUint64(b, uint64(s.closed.modified))
	b = appendString(b, s.name)
	b = be.AppendUint32(b, uint32(len(s.files)))
	for i := range s.files {
		f := &s.files[i]
		b = append(b, byte(f.Level))
		b = be.AppendUint64(b, uint64(f.Min))
		b = be.AppendUint64(b, uint64(f.Max))
		b = be.AppendUint64(b, uint64(f.Size))
		b = appendString(b, f.ETag)
	}
	present := s.present.copyFor(s.commit)
	b = slices.Grow(b, 8*len(present.words)+4)
	for i := range present.words {
		b = be.AppendUint64(b, present.words[i].Load())
	}
	return be.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// stateSum is the checksum at the end of an encoded snapshot: the first record's goes on from it.
func stateSum(b []byte) uint32 { return binary.BigEndian.Uint32(b[len(b)-4:]) }

func appendString(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
	return append(b, s...)
}

// decodeState reads a whole state file. The journal is applied: what it strikes out is not present.
func decodeState(b []byte) (*state, error) {
	r := stateReader{rest: b}
	if string(r.bytes(len(stateMagic))) != stateMagic {
		return nil, fmt.Errorf("%w: it begins with other bytes", errState)
	}
	if format := r.uint32(); format != stateFormat {
		return nil, fmt.Errorf("%w: format %d is not %d", errState, format, stateFormat)
	}
	s := &state{pageSize: r.uint32(), commit: r.uint32(), txid: index.TXID(r.uint64())}
	s.closed = stamp{int64(r.uint64()), int64(r.uint64())}
	s.name = string(r.bytes(int(r.uint32())))
	for n := r.uint32(); n > 0 && !r.short; n-- {
		s.files = append(s.files, index.File{
			Level: int(r.byte()), Min: index.TXID(r.uint64()), Max: index.TXID(r.uint64()),
			Size: int64(r.uint64()), ETag: string(r.bytes(int(r.uint32()))),
		})
	}
	words := r.bytes(8 * int((uint64(s.commit)+wordBits-1)/wordBits))
	size := len(b) - len(r.rest)
	sum := r.uint32()
	switch {
	case r.short:
		return nil, fmt.Errorf("%w: it is cut at byte %d", errState, len(b))
	case crc32.Checksum(b[:size], castagnoli) != sum:
		return nil, fmt.Errorf("%w: checksum", errState)
	}
	s.present = newBitmap(s.commit)
	for i := range s.present.words {
		s.present.words[i].Store(binary.BigEndian.Uint64(words[8*i:]))
	}
	if err := replay(r.rest, sum, s.present); err != nil {
		return nil, err
	}
	return s, nil
}

// stateReader takes fields off the front of a state file. After the end everything is zero, and short is set.
type stateReader struct {
	rest  []byte
	short bool
}

func (r *stateReader) bytes(n int) []byte {
	if n < 0 || n > len(r.rest) {
		r.rest, r.short = nil, true
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *stateReader) byte() byte {
	if b := r.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *stateReader) uint32() uint32 {
	if b := r.bytes(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *stateReader) uint64() uint64 {
	if b := r.bytes(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}
