package index

import (
	"encoding/binary"
	"math/bits"

	"github.com/superfly/ltx"
)

// inTurn decodes the records at the beginning of b whose pages follow each other, as all do in a file that holds every page, and returns
// their length. It stops before whatever is out of the ordinary, errors included: record tells what that is.
//
// What the first two numbers of such a record must be is known before it is read, and so how long they are: they are compared with what they must be, and
// only the frame's size is decoded. The processor need not know one number to find the next, which is where the time goes otherwise.
func (d *indexDecoder) inTurn(b []byte) (n int) {
	s := d.seg
	if s.spelt || s.narrow == nil {
		return 0
	}
	lock, largest := ltx.LockPgno(s.pageSize), min(d.maxFrame, 0xffff)
	for n+maxRecord <= len(b) {
		want := d.prev + 1
		if want == lock {
			want++
		}
		pgno, i := spelled(uint64(want))
		off, j := spelled(uint64(d.next))
		r := b[n : n+maxRecord]
		size, k := frameSize(r[i+j:])
		if k == 0 || begins(r, i) != pgno || begins(r[i:], j) != off ||
			want > s.commit || size < frameOverhead || size > largest || d.next+size > d.end {
			break
		}
		if s.n%anchorEvery == 0 {
			s.anchors = append(s.anchors, d.next)
		}
		s.narrow = append(s.narrow, uint16(size))
		s.n++
		d.prev, d.next, n = want, d.next+size, n+i+j+k
	}
	return n
}

// spelled is v, which is smaller than 2^56, as a varint in the low n bytes of a number.
func spelled(v uint64) (bytes uint64, n int) {
	n = (bits.Len64(v|1) + 6) / 7
	v = v&0x0000_0000_0fff_ffff | v<<4&0x0fff_ffff_0000_0000
	v = v&0x0000_3fff_0000_3fff | v<<2&0x3fff_0000_3fff_0000
	v = v&0x007f_007f_007f_007f | v<<1&0x7f00_7f00_7f00_7f00
	return v | 0x8080_8080_8080_8080&(1<<(8*n-8)-1), n
}

// begins is the first n bytes of b as a number.
func begins(b []byte, n int) uint64 { return binary.LittleEndian.Uint64(b) & (1<<(8*n) - 1) }

// frameSize decodes a varint of two or three bytes: the size of a frame of 128 bytes or more. n is 0 when it is none.
func frameSize(b []byte) (size int64, n int) {
	switch {
	case b[0] < 0x80:
		return 0, 0
	case b[1] < 0x80:
		return int64(b[0]&0x7f) | int64(b[1])<<7, 2
	case b[2] < 0x80:
		return int64(b[0]&0x7f) | int64(b[1]&0x7f)<<7 | int64(b[2])<<14, 3
	}
	return 0, 0
}
