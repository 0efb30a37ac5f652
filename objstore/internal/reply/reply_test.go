package reply

import (
	"bytes"
	"math"
	"testing"

	"github.com/litefs-s3/litefs-s3/objstore"
)

func TestParseContentRange(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		header string
		want   span
		ok     bool
	}{
		{"bytes 0-9/10", span{0, 10, 10}, true},
		{"bytes 5-5/10", span{5, 1, 10}, true},
		{"bytes 0--1/0", span{}, true},
		{"bytes 5-4/10", span{}, false},
		{"bytes 0-10/10", span{}, false},
		{"bytes -1-5/10", span{}, false},
		{"bytes 0-9/*", span{}, false},
		{"bytes */10", span{}, false},
		{"bytes 0-9", span{}, false},
		{"items 0-9/10", span{}, false},
		{"bytes 0-9/99999999999999999999", span{}, false},
		{"", span{}, false},
	} {
		if got, ok := parseContentRange(test.header); got != test.want || ok != test.ok {
			t.Errorf("%q: got %+v, %v", test.header, got, ok)
		}
	}
}

// FuzzAnswer wants every answer to be an error or exactly what was asked for, and little memory used.
func FuzzAnswer(f *testing.F) {
	f.Add("bytes 0-9/10", int64(10), []byte("0123456789"), int64(3), int64(2))
	f.Add("", int64(-1), []byte("0123456789"), int64(10), int64(0))
	f.Add("bytes 1-9223372036854775806/9223372036854775807", int64(-1), []byte("x"), int64(math.MaxInt64), int64(1))
	f.Fuzz(func(t *testing.T, contentRange string, length int64, body []byte, n, off int64) {
		answer := func() *Answer {
			return &Answer{ContentRange: contentRange, Length: length, Body: bytes.NewReader(body)}
		}
		if n <= 0 {
			return
		}
		for _, read := range []func(*Answer, int64) (objstore.Part, error){(*Answer).Suffix, (*Answer).Prefix} {
			part, err := read(answer(), n)
			if err == nil && (int64(len(part.Data)) != min(n, part.Size) || part.Off < 0 || part.Off+int64(len(part.Data)) > part.Size) {
				t.Errorf("got %d bytes at %d of %d, asked for %d", len(part.Data), part.Off, part.Size, n)
			}
		}
		if off < 0 || n > 1<<20 || off+n < off {
			return
		}
		_ = answer().ReadAt(make([]byte, n), off)
	})
}
