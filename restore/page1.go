package restore

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Offsets in page 1; see "The Database Header" of SQLite's file format.
const (
	offWriteVersion  = 18 // 1 is a rollback journal, 2 a write-ahead log
	offReadVersion   = 19
	offReserved      = 20 // bytes at the end of each page that SQLite leaves alone
	offCounter       = 24 // change counter
	offPages         = 28 // database size, believed when the counters agree
	offCounterForOff = 92 // the counter that offPages was written with
	databaseHeader   = 100
)

// adapt makes page 1 that of a database which other programs read while it is changed beneath them: they have to lock it, and to drop
// what they have cached when the counter has moved.
func adapt(page []byte, counter, commit uint32) {
	intact := checksummed(page)
	page[offWriteVersion], page[offReadVersion] = 1, 1
	binary.BigEndian.PutUint32(page[offCounter:], counter)
	binary.BigEndian.PutUint32(page[offPages:], commit)
	binary.BigEndian.PutUint32(page[offCounterForOff:], counter)
	if intact {
		sum := checksum(page[:len(page)-checksumSize])
		copy(page[len(page)-checksumSize:], sum[:])
	}
}

// readCounter is the change counter of a database file.
func readCounter(f io.ReaderAt) (uint32, error) {
	var header [databaseHeader]byte
	if _, err := f.ReadAt(header[:], 0); err != nil {
		return 0, fmt.Errorf("database header: %w", err)
	}
	return binary.BigEndian.Uint32(header[offCounter:]), nil
}

// checksumSize is what SQLite's checksum VFS reserves at the end of each page.
const checksumSize = 8

// checksummed reports whether the page ends with a checksum, and the right one.
func checksummed(page []byte) bool {
	if page[offReserved] != checksumSize {
		return false
	}
	at := len(page) - checksumSize
	return checksum(page[:at]) == [checksumSize]byte(page[at:])
}

// checksum is that of https://sqlite.org/cksumvfs.html.
func checksum(b []byte) (sum [checksumSize]byte) {
	var s1, s2 uint32
	for ; len(b) >= 8; b = b[8:] {
		s1 += binary.LittleEndian.Uint32(b) + s2
		s2 += binary.LittleEndian.Uint32(b[4:]) + s1
	}
	binary.LittleEndian.PutUint32(sum[:], s1)
	binary.LittleEndian.PutUint32(sum[4:], s2)
	return sum
}
