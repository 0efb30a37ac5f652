package stoppable

import (
	"encoding/binary"
	"fmt"
)

// reader takes a module apart. After an error it returns zeros.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(what string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: "+what, append([]any{ErrFormat}, args...)...)
	}
	r.b = nil
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail("it ends early")
		return 0
	}
	b := r.b[0]
	r.b = r.b[1:]
	return b
}

func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.fail("it ends early")
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

// uint reads a number in LEB128. A signed one is skipped just as well.
func (r *reader) uint() uint64 {
	n, size := binary.Uvarint(r.b)
	if size <= 0 {
		r.fail("a number does not end")
		return 0
	}
	r.b = r.b[size:]
	return n
}

// skipInt goes past a signed number, which may be ten bytes long and larger than a uint64.
func (r *reader) skipInt() {
	for r.err == nil && r.byte()&0x80 != 0 {
	}
}

func appendUint(b []byte, n uint64) []byte { return binary.AppendUvarint(b, n) }

// appendInt appends a number in signed LEB128, which is not Go's zigzag.
func appendInt(b []byte, n int64) []byte {
	for {
		low := byte(n & 0x7f)
		n >>= 7
		if n == 0 && low&0x40 == 0 || n == -1 && low&0x40 != 0 {
			return append(b, low)
		}
		b = append(b, low|0x80)
	}
}
