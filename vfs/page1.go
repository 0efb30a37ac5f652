package vfs

import (
	"context"
	"encoding/binary"
)

// Offsets in page 1; see "The Database Header" of SQLite's file format.
const (
	offWriteVersion  = 18 // 1 is a rollback journal, 2 a write-ahead log
	offReadVersion   = 19
	offReserved      = 20 // bytes at the end of each page that SQLite leaves alone
	offCounter       = 24 // change counter
	offPages         = 28 // database size, believed when the counters agree
	offCounterForOff = 92 // the counter that offPages was written with
)

// page1 is page 1 of one Snapshot as SQLite gets to see it: see [patch].
type page1 struct {
	of   Snapshot
	data []byte
}

// read returns page 1 of s, which the caller must not change.
func (p *page1) read(ctx context.Context, r PageReader, s Snapshot) ([]byte, error) {
	if p.of == s {
		return p.data, nil
	}
	p.of = Snapshot{}
	if uint32(len(p.data)) != s.PageSize {
		p.data = make([]byte, s.PageSize)
	}
	if err := s.read(ctx, r, 1, p.data); err != nil {
		return nil, err
	}
	patch(p.data, s)
	p.of = s
	return p.data, nil
}

// patch makes page 1 of s what a reader without journal, log and locks needs:
//
//   - The database is in rollback mode: in WAL mode SQLite would ask for shared memory.
//   - The change counter is the Snapshot's, so that SQLite drops its cache when, and only when, the content is another one.
//   - The size is the commit size, and believed.
func patch(page []byte, s Snapshot) {
	intact := checksummed(page)
	page[offWriteVersion], page[offReadVersion] = 1, 1
	binary.BigEndian.PutUint32(page[offCounter:], s.Counter)
	binary.BigEndian.PutUint32(page[offPages:], s.Commit)
	binary.BigEndian.PutUint32(page[offCounterForOff:], s.Counter)
	if intact {
		sum := checksum(page[:len(page)-checksumSize])
		copy(page[len(page)-checksumSize:], sum[:])
	}
}

// checksumSize is what SQLite's checksum VFS reserves at the end of each page. The driver verifies such pages by itself.
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
