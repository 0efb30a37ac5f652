package restore

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/litefs-s3/litefs-s3/internal/page1"
)

// adapt makes page 1 that of a database which other programs read while it is changed beneath them: they have to lock it, and to drop
// what they have cached when the counter has moved.
func adapt(page []byte, counter, commit uint32) { page1.Show(page, counter, commit) }

// readCounter is the change counter of a database file.
func readCounter(f io.ReaderAt) (uint32, error) {
	var header [page1.HeaderSize]byte
	if _, err := f.ReadAt(header[:], 0); err != nil {
		return 0, fmt.Errorf("database header: %w", err)
	}
	return binary.BigEndian.Uint32(header[page1.Counter:]), nil
}
