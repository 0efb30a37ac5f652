package objstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Kind is what a request does.
type Kind int

const (
	KindGet Kind = iota
	KindList
	KindPut
	KindDelete
	kinds = iota
)

func (k Kind) String() string {
	if k < 0 || k >= kinds {
		return fmt.Sprintf("Kind(%d)", int(k))
	}
	return [kinds]string{"get", "list", "put", "delete"}[k]
}

// Outcome is how a request ended, as far as somebody who watches a store has to tell apart.
type Outcome int

const (
	OutcomeOK Outcome = iota
	OutcomeNotFound
	OutcomeRefused   // its condition did not hold: another one was first, or the object has changed
	OutcomeDenied    // credentials that are missing, wrong or lack the right
	OutcomeCancelled // whoever asked has lost interest, the second of two hedged requests for one
	OutcomeFailed    // all else: throttled, timed out, cut
	outcomes         = iota
)

func (o Outcome) String() string {
	if o < 0 || o >= outcomes {
		return fmt.Sprintf("Outcome(%d)", int(o))
	}
	return [outcomes]string{"ok", "not_found", "refused", "denied", "cancelled", "failed"}[o]
}

// outcomeOf is how a request ended that returned err.
func outcomeOf(err error) Outcome {
	switch {
	case err == nil:
		return OutcomeOK
	case errors.Is(err, ErrNotFound):
		return OutcomeNotFound
	case errors.Is(err, ErrExists), errors.Is(err, ErrChanged):
		return OutcomeRefused
	case errors.Is(err, ErrAccess):
		return OutcomeDenied
	case errors.Is(err, context.Canceled):
		return OutcomeCancelled
	}
	return OutcomeFailed
}

// tookBounds are where the buckets of [Took] end. The last one has no end.
var tookBounds = [...]time.Duration{
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2500 * time.Millisecond, 5 * time.Second,
	10 * time.Second, 30 * time.Second,
}

// Took is how long requests took.
type Took struct {
	counts [len(tookBounds) + 1]int64
	Sum    time.Duration
}

func (t *Took) add(d time.Duration) {
	at, _ := slices.BinarySearch(tookBounds[:], d)
	t.counts[at]++
	t.Sum += d
}

// Count is the number of requests.
func (t Took) Count() (n int64) {
	for _, c := range t.counts {
		n += c
	}
	return n
}

// Below calls yield with each bound and the number of requests that took no longer, the shortest bound first.
func (t Took) Below(yield func(bound time.Duration, n int64) bool) {
	var n int64
	for i, bound := range tookBounds {
		n += t.counts[i]
		if !yield(bound, n) {
			return
		}
	}
}

// RequestStats are the requests of one kind that have ended.
type RequestStats struct {
	ended [outcomes]int64
	Took  Took // those that were not cancelled: how long the store takes
}

// Ended calls yield with each outcome and how many requests had it.
func (r RequestStats) Ended(yield func(o Outcome, n int64) bool) {
	for o, n := range r.ended {
		if !yield(Outcome(o), n) {
			return
		}
	}
}

// Requests calls yield with each kind of request and how those ended that were made so far. Beside [Metrics.Stats], it is for
// somebody who watches.
func (m *Metrics) Requests(yield func(k Kind, r RequestStats) bool) {
	m.mu.Lock()
	all := m.requests
	m.mu.Unlock()
	for k, r := range all {
		if !yield(Kind(k), r) {
			return
		}
	}
}

func (r *RequestStats) add(err error, took time.Duration) {
	o := outcomeOf(err)
	r.ended[o]++
	if o != OutcomeCancelled {
		r.Took.add(took)
	}
}
