package wire

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"
)

// ErrStalled is the error of a request during which no byte moved for too long.
var ErrStalled = errors.New("no byte moved for too long")

// GuardStalls returns a transport that ends a request with ErrStalled when for the given time no byte of its body was
// taken, no answer came, and none of the answer's body arrived. The time nobody reads the answer does not count.
func GuardStalls(next http.RoundTripper, timeout time.Duration) http.RoundTripper {
	return &stallGuard{next: next, timeout: timeout}
}

type stallGuard struct {
	next    http.RoundTripper
	timeout time.Duration
}

func (g *stallGuard) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	watch := &watch{ctx: ctx, cancel: cancel, timeout: g.timeout}
	watch.timer = time.AfterFunc(g.timeout, func() { cancel(ErrStalled) })

	req = req.WithContext(ctx)
	if req.Body != nil && req.Body != http.NoBody {
		req.Body = &sentBody{ReadCloser: req.Body, watch: watch}
	}
	resp, err := g.next.RoundTrip(req)
	watch.timer.Stop()
	if err != nil {
		err = watch.cause(err)
		cancel(nil)
		return nil, err
	}
	resp.Body = &receivedBody{ReadCloser: resp.Body, watch: watch}
	return resp, nil
}

// CloseIdleConnections is what http.Client looks for.
func (g *stallGuard) CloseIdleConnections() {
	if closer, ok := g.next.(interface{ CloseIdleConnections() }); ok {
		closer.CloseIdleConnections()
	}
}

// watch cancels one request when its timer runs out.
type watch struct {
	ctx     context.Context
	cancel  context.CancelCauseFunc
	timer   *time.Timer
	timeout time.Duration
}

// cause is the reason behind an error of the request.
func (w *watch) cause(err error) error {
	if err != nil && errors.Is(context.Cause(w.ctx), ErrStalled) {
		return ErrStalled
	}
	return err
}

// sentBody notes that the transport takes bytes to send.
type sentBody struct {
	io.ReadCloser
	watch *watch
}

func (b *sentBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.watch.timer.Stop() { // else it has run out, or the answer is there and nobody waits for the body any more
		b.watch.timer.Reset(b.watch.timeout)
	}
	return n, err
}

// receivedBody lets the timer run while a Read waits. It is read by one goroutine at a time.
type receivedBody struct {
	io.ReadCloser
	watch *watch
}

func (b *receivedBody) Read(p []byte) (int, error) {
	b.watch.timer.Reset(b.watch.timeout)
	n, err := b.ReadCloser.Read(p)
	b.watch.timer.Stop()
	if err != nil && err != io.EOF {
		err = b.watch.cause(err)
	}
	return n, err
}

func (b *receivedBody) Close() error {
	b.watch.timer.Stop()
	err := b.ReadCloser.Close()
	b.watch.cancel(nil)
	return err
}
