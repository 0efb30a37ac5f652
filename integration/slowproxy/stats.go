package slowproxy

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Kind is what a request is on a bill and in a latency budget.
type Kind string

// The kinds of request.
const (
	Get      Kind = "GET"       // a whole object
	GetRange Kind = "GET range" // a part of one
	List     Kind = "LIST"
	Head     Kind = "HEAD"
	Put      Kind = "PUT"
	Delete   Kind = "DELETE" // of one object or of many
	Post     Kind = "POST"   // start and end of a multipart upload
)

// kindOf classes a request. A GET of a bucket is a listing, whatever it asks of the bucket.
func kindOf(r *http.Request) Kind {
	switch r.Method {
	case http.MethodGet:
		if _, key := splitPath(r.URL.Path); key == "" {
			return List
		}
		if r.Header.Get("Range") != "" {
			return GetRange
		}
		return Get
	case http.MethodPost:
		if r.URL.Query().Has("delete") {
			return Delete
		}
		return Post
	}
	return Kind(r.Method)
}

// splitPath splits a path-style URL path into bucket and key.
func splitPath(path string) (bucket, key string) {
	bucket, key, _ = strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return bucket, key
}

// Request is one line of the transcript.
type Request struct {
	Kind   Kind
	Bucket string
	Key    string        // of the object; of a listing its prefix
	Range  string        // the Range header, such as bytes=0-99
	Status int           // of the answer; 0 when there was none
	Fault  Fault         // what the proxy did to it; NoFault when nothing
	In     int64         // bytes of the request's body
	Out    int64         // bytes of the answer's body
	Start  time.Duration // arrival, since the proxy was reset
	End    time.Duration // just before the last byte of the answer was sent
	Wave   int           // from 1
	Depth  int           // from 1; see the package's description
}

// String is the request on one line, with milliseconds.
func (r Request) String() string {
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	line := fmt.Sprintf("%9.1f–%.1f ms  wave %d  %s %s/%s", ms(r.Start), ms(r.End), r.Wave, r.Kind, r.Bucket, r.Key)
	if r.Range != "" {
		line += " " + r.Range
	}
	line += fmt.Sprintf(" → %d, %d bytes", r.Status, r.Out)
	if r.Fault != NoFault {
		line += " (" + r.Fault.String() + ")"
	}
	return line
}

// Stats are the counters since the last Reset.
type Stats struct {
	Requests    map[Kind]int   // by kind
	BytesOf     map[Kind]int64 // of answers' bodies, by kind
	BytesIn     int64          // bodies of requests
	BytesOut    int64          // bodies of answers
	Faults      map[Fault]int  // injected
	InFlight    int            // now
	InFlightMax int
	Waves       int // see the package's description
	Depth       int // see the package's description
}

// Total is the number of requests.
func (s Stats) Total() int {
	n := 0
	for _, of := range s.Requests {
		n += of
	}
	return n
}

// String is the whole on one line: requests by kind, waves, bytes.
func (s Stats) String() string {
	var kinds []string
	for _, kind := range slices.Sorted(maps.Keys(s.Requests)) {
		kinds = append(kinds, fmt.Sprintf("%d %s", s.Requests[kind], kind))
	}
	return fmt.Sprintf("%d requests (%s) in %d waves, %d bytes out, %d in",
		s.Total(), strings.Join(kinds, ", "), s.Waves, s.BytesOut, s.BytesIn)
}

// ledger writes down requests. It is safe for concurrent use.
type ledger struct {
	mu       sync.Mutex
	since    time.Time  // guarded by mu: the last reset
	requests []*Request // guarded by mu, with what they point to, in order of arrival
	inFlight int        // guarded by mu, and counts requests from before the reset too
	stats    Stats      // guarded by mu
	answered int        // guarded by mu: the greatest Depth of an answered request
}

// reset forgets everything but how many requests are in flight.
func (l *ledger) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.since, l.requests, l.answered = time.Now(), nil, 0
	l.stats = Stats{
		Requests: make(map[Kind]int), BytesOf: make(map[Kind]int64), Faults: make(map[Fault]int), InFlightMax: l.inFlight,
	}
}

// arrive writes down a request and returns its entry, which only the ledger's other methods may touch.
func (l *ledger) arrive(r *http.Request) *entry {
	bucket, key := splitPath(r.URL.Path)
	req := &Request{Kind: kindOf(r), Bucket: bucket, Key: key, Range: r.Header.Get("Range")}
	if req.Kind == List {
		req.Key = r.URL.Query().Get("prefix")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.inFlight == 0 {
		l.stats.Waves++
	}
	l.inFlight++
	l.stats.InFlightMax = max(l.stats.InFlightMax, l.inFlight)
	l.stats.Requests[req.Kind]++
	req.Start, req.Wave, req.Depth = time.Since(l.since), max(1, l.stats.Waves), l.answered+1
	l.stats.Depth = max(l.stats.Depth, req.Depth)
	l.requests = append(l.requests, req)
	return &entry{ledger: l, req: req, since: l.since}
}

// entry is a request that is not yet answered.
type entry struct {
	ledger *ledger
	req    *Request
	since  time.Time // the reset that req belongs to
	done   bool      // answered was called; used by one goroutine
}

// answered writes down how a request ended, once.
func (e *entry) answered(status int, in, out int64, fault Fault) {
	if e.done {
		return
	}
	e.done = true
	l := e.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inFlight--
	if e.since != l.since {
		return // forgotten by a reset
	}
	e.req.Status, e.req.In, e.req.Out, e.req.Fault, e.req.End = status, in, out, fault, time.Since(l.since)
	l.answered = max(l.answered, e.req.Depth)
	l.stats.BytesIn += in
	l.stats.BytesOut += out
	l.stats.BytesOf[e.req.Kind] += out
	if fault != NoFault {
		l.stats.Faults[fault]++
	}
}

// snapshot copies everything.
func (l *ledger) snapshot() (Stats, []Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	stats := l.stats
	stats.InFlight = l.inFlight
	stats.Requests, stats.BytesOf = maps.Clone(stats.Requests), maps.Clone(stats.BytesOf)
	stats.Faults = maps.Clone(stats.Faults)
	requests := make([]Request, len(l.requests))
	for i, r := range l.requests {
		requests[i] = *r
	}
	return stats, requests
}
