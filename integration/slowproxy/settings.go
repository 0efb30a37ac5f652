package slowproxy

import (
	"fmt"
	"time"
)

// Settings are what the proxy does to requests. The zero value passes everything on as fast as it can. A request
// keeps the settings that held when it arrived.
type Settings struct {
	// Latency is added before the first byte of every answer, to the time that the server takes itself.
	Latency time.Duration
	// Handshake is how long after a connection was made the first request on it is read: what TCP's and TLS's handshakes would take.
	// A connection keeps what held when it was made.
	Handshake time.Duration
	// StreamRate caps each body, and TotalRate all of them together, in bytes per second. Zero means no cap.
	StreamRate, TotalRate int64
	// FailRate is the share of requests, 0 to 1, that are answered 503 SlowDown and do not reach the server.
	FailRate float64
	// CutRate is the share of answers whose connection is cut in the middle of the body.
	CutRate float64
	// HangRate is the share of requests that are never answered: they hang until the client gives up or the proxy is
	// closed.
	HangRate float64
	// Inject, when not nil, is asked about every request before the rates are, and may choose what happens to it. It
	// is called by many goroutines at once.
	Inject func(Request) Fault
}

// Fault is something that happens to one request.
type Fault int

// The faults, from none to the rudest.
const (
	NoFault    Fault = iota // the rates decide
	Fail                    // 503 SlowDown; the server does not see the request
	Cut                     // the connection is cut in the middle of the answer's body
	LoseAnswer              // the server does what was asked, the connection is cut before any answer
	Hang                    // no answer until the client gives up
	Pass                    // none, whatever the rates say
	numFaults
)

var faultNames = [numFaults]string{"none", "fail", "cut", "lose answer", "hang", "pass"}

// String returns the fault's name.
func (f Fault) String() string {
	if f < 0 || f >= numFaults {
		return fmt.Sprintf("Fault(%d)", int(f))
	}
	return faultNames[f]
}

// choose picks what happens to a request; random is uniform in [0, 1).
func (s *Settings) choose(r Request, random float64) Fault {
	if s.Inject != nil {
		if f := s.Inject(r); f != NoFault {
			return f
		}
	}
	for _, c := range []struct {
		rate  float64
		fault Fault
	}{{s.FailRate, Fail}, {s.CutRate, Cut}, {s.HangRate, Hang}} {
		if random < c.rate {
			return c.fault
		}
		random -= c.rate
	}
	return Pass
}
