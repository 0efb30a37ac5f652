package page1

import "encoding/binary"

// Offsets in the page, in bytes.
const (
	PageSize     = 16 // 1 stands for 65536
	WriteVersion = 18 // 1 is a rollback journal, 2 a write-ahead log
	ReadVersion  = 19
	Reserved     = 20 // bytes at the end of each page that SQLite leaves alone
	Counter      = 24 // change counter
	Pages        = 28 // database size, believed when the counters agree
	CounterOf    = 92 // the counter that the size was written with
	HeaderSize   = 100
)

// ChecksumSize is what the checksum VFS reserves at the end of each page, in bytes.
const ChecksumSize = 8

// Show makes the page that of a database of so many pages in rollback mode, whose readers drop what they have cached when the counter is
// another one.
func Show(page []byte, counter, pages uint32) {
	intact := Intact(page)
	page[WriteVersion], page[ReadVersion] = 1, 1
	binary.BigEndian.PutUint32(page[Counter:], counter)
	binary.BigEndian.PutUint32(page[Pages:], pages)
	binary.BigEndian.PutUint32(page[CounterOf:], counter)
	if intact {
		Seal(page)
	}
}

// SetVersions sets what the page says of journals.
func SetVersions(page []byte, write, read byte) {
	intact := Intact(page)
	page[WriteVersion], page[ReadVersion] = write, read
	if intact {
		Seal(page)
	}
}

// Intact reports whether the page ends with a checksum, and the right one.
func Intact(page []byte) bool {
	return page[Reserved] == ChecksumSize && checksum(page[:len(page)-ChecksumSize]) == [ChecksumSize]byte(page[len(page)-ChecksumSize:])
}

// Seal writes the checksum at the end of the page.
func Seal(page []byte) {
	sum := checksum(page[:len(page)-ChecksumSize])
	copy(page[len(page)-ChecksumSize:], sum[:])
}

func checksum(b []byte) (sum [ChecksumSize]byte) {
	var s1, s2 uint32
	for ; len(b) >= 8; b = b[8:] {
		s1 += binary.LittleEndian.Uint32(b) + s2
		s2 += binary.LittleEndian.Uint32(b[4:]) + s1
	}
	binary.LittleEndian.PutUint32(sum[:], s1)
	binary.LittleEndian.PutUint32(sum[4:], s2)
	return sum
}
