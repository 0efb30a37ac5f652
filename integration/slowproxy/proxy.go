package slowproxy

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
)

// chunk is how many bytes of a body are passed on at once.
const chunk = 32 << 10

// Proxy is a reverse proxy on a loopback port. Its methods are safe for concurrent use.
type Proxy struct {
	target    *url.URL
	url       string
	server    *http.Server
	transport *http.Transport
	settings  atomic.Pointer[Settings]
	total     pacer // shared by all bodies
	ledger    ledger
	gate      gate
	served    chan error // how serving ended
}

// New starts a proxy before the server at target, such as http://127.0.0.1:9000. Close it when done.
func New(target string) (*Proxy, error) {
	u, err := url.Parse(target)
	if err != nil || u.Scheme == "" || u.Host == "" {
		return nil, fmt.Errorf("slowproxy: target %q: want http://host:port", target)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("slowproxy: %w", err)
	}
	p := &Proxy{
		target: u,
		url:    "http://" + listener.Addr().String(),
		transport: &http.Transport{
			MaxIdleConnsPerHost: 256, DisableCompression: true, ReadBufferSize: 2 * chunk, WriteBufferSize: 2 * chunk,
		},
		served: make(chan error, 1),
	}
	p.gate.closed = make(chan struct{})
	p.server = &http.Server{Handler: http.HandlerFunc(p.handle)}
	p.Set(Settings{})
	p.ledger.reset()
	go func() { p.served <- p.server.Serve(greeter{listener, p}) }()
	return p, nil
}

// URL is what clients use instead of the target: http://127.0.0.1:port.
func (p *Proxy) URL() string { return p.url }

// Set makes s hold for the requests that arrive from now on.
func (p *Proxy) Set(s Settings) { p.settings.Store(&s) }

// Settings returns what holds now.
func (p *Proxy) Settings() Settings { return *p.settings.Load() }

// Reset zeroes the counters, the clock and the transcript. Requests in flight are in neither from then on, but they
// are in flight: a request that arrives beside them starts no wave.
func (p *Proxy) Reset() { p.ledger.reset() }

// Stats returns the counters since the last Reset. Bytes and faults are counted when a request has been answered.
func (p *Proxy) Stats() Stats {
	stats, _ := p.ledger.snapshot()
	return stats
}

// Transcript returns all requests since the last Reset in order of arrival, those in flight without their end.
func (p *Proxy) Transcript() []Request {
	_, requests := p.ledger.snapshot()
	return requests
}

// Close cuts all connections and waits until no request is being handled. Call it once.
func (p *Proxy) Close() error {
	err := p.server.Close()
	p.gate.close()
	p.transport.CloseIdleConnections()
	if serveErr := <-p.served; !errors.Is(serveErr, http.ErrServerClosed) {
		err = errors.Join(err, serveErr)
	}
	return err
}

// gate counts the requests being handled, so that Close can wait for them.
type gate struct {
	closed   chan struct{} // closed when Close has begun
	mu       sync.Mutex    // guards the order of handlers.Add and closing
	handlers sync.WaitGroup
}

// enter reports whether a request may still be handled; handlers.Done must follow then.
func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.closed:
		return false
	default:
		g.handlers.Add(1)
		return true
	}
}

// close lets nobody in any more and waits for those inside.
func (g *gate) close() {
	g.mu.Lock()
	close(g.closed)
	g.mu.Unlock()
	g.handlers.Wait()
}

// handle passes one request on.
func (p *Proxy) handle(w http.ResponseWriter, r *http.Request) {
	if !p.gate.enter() {
		panic(http.ErrAbortHandler)
	}
	defer p.gate.handlers.Done()
	settings := p.settings.Load()
	e := p.ledger.arrive(r)
	x := &exchange{proxy: p, settings: settings, entry: e, w: w, r: r, fault: settings.choose(*e.req, rand.Float64())}
	defer x.answered() // if nothing else did, when the connection is cut
	switch x.fault {
	case Hang:
		x.hang()
	case Fail:
		x.fail()
	default:
		x.pass()
	}
}

// exchange is one request and its answer on their way through the proxy.
type exchange struct {
	proxy    *Proxy
	settings *Settings
	entry    *entry
	w        http.ResponseWriter
	r        *http.Request
	fault    Fault
	status   int
	in       atomic.Int64 // bytes of the request's body so far; the transport may go on reading it
	out      int64        // bytes of the answer's body so far
}

// answered writes the request down as it is; later calls do nothing.
func (x *exchange) answered() {
	fault := x.fault
	if fault == Pass {
		fault = NoFault
	}
	x.entry.answered(x.status, x.in.Load(), x.out, fault)
}

// cut ends the connection without an end of the answer. It does not return.
func (x *exchange) cut() {
	x.answered()
	panic(http.ErrAbortHandler)
}

// hang waits until the client gives up.
func (x *exchange) hang() {
	select {
	case <-x.r.Context().Done():
	case <-x.proxy.gate.closed:
	}
	x.cut()
}

// fail answers what an overloaded S3 server answers.
func (x *exchange) fail() {
	x.latency()
	const body = `<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>injected by slowproxy</Message></Error>`
	x.w.Header().Set("Content-Type", "application/xml")
	x.w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	x.status, x.out = http.StatusServiceUnavailable, int64(len(body))
	x.answered()
	x.w.WriteHeader(x.status)
	io.WriteString(x.w, body) // a client that has gone misses nothing
}

// pass sends the request to the server and the answer to the client.
func (x *exchange) pass() {
	resp, err := x.proxy.transport.RoundTrip(x.outgoing())
	if err != nil {
		x.cut() // as the client would see it without us
	}
	defer resp.Body.Close()
	if x.fault == LoseAnswer {
		io.Copy(io.Discard, resp.Body) // the server is done with the request
		x.cut()
	}
	x.latency()
	for name, values := range resp.Header {
		x.w.Header()[name] = values
	}
	x.status = resp.StatusCode
	x.passBody(resp)
}

// outgoing is the request as the server gets it: everything is signed, so nothing changes but where it goes.
func (x *exchange) outgoing() *http.Request {
	out := x.r.Clone(x.r.Context())
	out.RequestURI = ""
	out.URL.Scheme, out.URL.Host, out.Host = x.proxy.target.Scheme, x.proxy.target.Host, x.r.Host
	out.Body = http.NoBody
	if x.r.ContentLength != 0 {
		out.Body = &pacedBody{ReadCloser: x.r.Body, x: x, stream: new(pacer)}
	}
	return out
}

// latency waits for the time that the distance takes.
func (x *exchange) latency() { sleep(x.r.Context(), x.settings.Latency) }

// pace waits until n bytes more may pass on this stream.
func (x *exchange) pace(stream *pacer, n int) {
	ctx := x.r.Context()
	stream.wait(ctx, n, x.settings.StreamRate)
	x.proxy.total.wait(ctx, n, x.settings.TotalRate)
}

// passBody sends status and body. It reads one chunk ahead, so that it knows the last one before it sends it.
func (x *exchange) passBody(resp *http.Response) {
	ahead, stream := newLookAhead(resp.Body), new(pacer)
	for first := true; ; first = false {
		data, last, err := ahead.next()
		if x.fault == Cut && x.out+int64(len(data)) > resp.ContentLength/2 {
			data, last, err = data[:max(0, resp.ContentLength/2-x.out)], false, errCut
		}
		x.pace(stream, len(data))
		x.out += int64(len(data))
		if last {
			x.answered()
		}
		if first {
			x.w.WriteHeader(x.status)
		}
		if err := x.write(data); err != nil {
			return // the client has gone
		}
		switch {
		case err != nil:
			http.NewResponseController(x.w).Flush() // what came before the cut arrives
			x.cut()
		case last:
			return
		}
	}
}

// write sends data if there is any: an answer to HEAD must not be written to.
func (x *exchange) write(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	_, err := x.w.Write(data)
	return err
}

var errCut = errors.New("cut here")
