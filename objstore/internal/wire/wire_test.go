package wire

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

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
