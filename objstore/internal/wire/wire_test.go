package wire

import (
	"bytes"
	"errors"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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

// pipeTransport answers with a body that the test writes to.
type pipeTransport struct{ body io.ReadCloser }

func (p pipeTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if p.body == nil {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	go func() {
		<-r.Context().Done()
		p.body.Close()
	}()
	return &http.Response{StatusCode: 200, Body: p.body, Request: r}, nil
}

func TestGuardStalls(t *testing.T) {
	t.Parallel()
	const timeout = 30 * time.Second
	request := func(t *testing.T) *http.Request {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://x/", nil)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	t.Run("no answer", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			_, err := GuardStalls(pipeTransport{}, timeout).RoundTrip(request(t))
			if !errors.Is(err, ErrStalled) || time.Since(begin) != timeout {
				t.Errorf("got %v after %v", err, time.Since(begin))
			}
		})
	})
	t.Run("body", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r, w := io.Pipe()
			resp, err := GuardStalls(pipeTransport{r}, timeout).RoundTrip(request(t))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			go func() {
				for range 3 { // slow, but moving
					time.Sleep(timeout - time.Second)
					io.WriteString(w, "x")
				}
			}()
			p := make([]byte, 1)
			for range 3 {
				if _, err := io.ReadFull(resp.Body, p); err != nil {
					t.Fatal(err)
				}
				time.Sleep(10 * timeout) // the reader may take its time
			}
			if _, err := resp.Body.Read(p); !errors.Is(err, ErrStalled) {
				t.Errorf("got %v", err)
			}
		})
	})
	t.Run("request body", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := request(t)
			r.Body = io.NopCloser(strings.NewReader(strings.Repeat("x", 5)))
			sent := 0
			_, err := GuardStalls(slowSender{&sent, timeout - time.Second}, timeout).RoundTrip(r)
			if err != nil || sent != 5 {
				t.Errorf("sent %d bytes: %v", sent, err)
			}
		})
	})
}

// slowSender takes one byte of the body at a time.
type slowSender struct {
	sent  *int
	pause time.Duration
}

func (s slowSender) RoundTrip(r *http.Request) (*http.Response, error) {
	p := make([]byte, 1)
	for {
		select {
		case <-time.After(s.pause):
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
		n, err := r.Body.Read(p)
		*s.sent += n
		if err == io.EOF {
			return &http.Response{StatusCode: 200, Body: http.NoBody, Request: r}, nil
		}
	}
}
