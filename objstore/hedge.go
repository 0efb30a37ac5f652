package objstore

import (
	"context"
	"sync"
	"time"
)

// HedgeOptions bound what [Hedge] spends. The zero value is fit for a bucket on the Internet.
type HedgeOptions struct {
	// Share is how many second requests there may be for each request, in the long run. Zero means 0.02.
	Share float64
	// Burst is how many second requests may follow each other before that share counts. Zero means 4.
	Burst int
	// MinDelay is the least time a request has before a second one is made: a store that answers sooner than that needs no
	// help. Zero means 20 ms.
	MinDelay time.Duration
}

func (o HedgeOptions) withDefaults() HedgeOptions {
	o.Share = orDefault(o.Share, 0.02)
	o.Burst = orDefault(o.Burst, 4)
	o.MinDelay = orDefault(o.MinDelay, 20*time.Millisecond)
	return o
}

// hedgeLimit is the longest range that is asked for twice, in bytes. What takes long beyond that is moving the bytes, and
// a second copy of them makes it longer.
const hedgeLimit = 4 << 20

// Hedged is a view of a store that asks once more for a range when the answer is late.
//
// Now and then a request takes ten times as long as its neighbours, and a query that needs fifty of them waits for the
// slowest. What is late is learnt from the store: longer than 19 of 20 ranges of about that length have taken of late, and
// twice as long as the middle one, before which a second request could hardly come first. The first of the two that brings
// the bytes wins, and the other one is cancelled. An error of the first is its answer; it is [Retry] that asks again then.
//
// Reads of ranges are hedged, and nothing else: a put that is made twice may be two. Put it around [Metrics], so that second
// requests are counted as what they are, and inside of a [Limiter], so that waiting for a slot is not taken for a slow
// store. The limit is exceeded by no more than Burst then.
type Hedged struct {
	Store // what is not a range goes through

	opts HedgeOptions

	mu      sync.Mutex
	classes [sizeClasses]latencies // guarded by mu: how long ranges took, by length
	tokens  float64                // guarded by mu: second requests that may be made now
	stats   HedgeStats             // guarded by mu
}

var _ Store = (*Hedged)(nil)

// HedgeStats are the counts of a [Hedged] at one moment.
type HedgeStats struct {
	Reads   int64 // of ranges that could have been hedged
	Seconds int64 // second requests
	Won     int64 // of them, those that came first
	Denied  int64 // late reads for which there was no budget
}

// Hedge returns a view of store that hedges, and has learnt nothing yet.
func Hedge(store Store, opts HedgeOptions) *Hedged {
	opts = opts.withDefaults()
	return &Hedged{Store: store, opts: opts, tokens: float64(opts.Burst)}
}

// Stats returns the counts of this moment.
func (h *Hedged) Stats() HedgeStats {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.stats
}

// ReadAt implements RangeReader. When it returns, both requests have ended.
func (h *Hedged) ReadAt(ctx context.Context, ref Ref, p []byte, off int64) error {
	if len(p) == 0 || len(p) > hedgeLimit {
		return h.Store.ReadAt(ctx, ref, p, off)
	}
	h.begin()
	first, cancelFirst := context.WithCancel(ctx)
	defer cancelFirst()
	second, cancelSecond := context.WithCancel(ctx)
	defer cancelSecond()
	start := time.Now()
	spare := make(chan []byte, 1)
	go func() {
		data := h.readLate(second, ref, len(p), off, start)
		if data != nil {
			cancelFirst()
		}
		spare <- data
	}()
	err := h.Store.ReadAt(first, ref, p, off)
	took := time.Since(start)
	cancelSecond()
	data := <-spare // from here on nobody writes to p
	if err != nil && data != nil && ctx.Err() == nil {
		copy(p, data)
		h.won()
		err = nil
	}
	if err == nil {
		h.learn(len(p), took) // of a first that lost, this is the least that it would have taken
	}
	return err
}

// readLate makes the second request if the first one is late and the budget allows. It returns the bytes, or nil without
// any.
func (h *Hedged) readLate(ctx context.Context, ref Ref, n int, off int64, start time.Time) []byte {
	if !h.untilLate(ctx, n, start) || !h.spend() {
		return nil
	}
	data := make([]byte, n)
	if err := h.Store.ReadAt(ctx, ref, data, off); err != nil {
		return nil // the first one goes on
	}
	return data
}

// untilLate waits until a request that began at start is late, and reports whether it got so far before ctx ended. What is
// late may become known while it waits, from requests that began at the same time.
func (h *Hedged) untilLate(ctx context.Context, n int, start time.Time) bool {
	timer := time.NewTimer(h.opts.MinDelay)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return false
		}
		late, ok := h.late(n)
		if !ok {
			timer.Reset(h.opts.MinDelay)
			continue
		}
		left := late - time.Since(start)
		if left <= 0 {
			return ctx.Err() == nil
		}
		timer.Reset(left)
	}
}

// late is the time after which a read of n bytes is late. ok is false while too little is known.
func (h *Hedged) late(n int) (_ time.Duration, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	l := &h.classes[sizeClass(n)]
	if l.total < enoughLatencies {
		return 0, false
	}
	return max(l.quantile(0.95), 2*l.quantile(0.5), h.opts.MinDelay), true
}

// begin counts a read, which earns a share of a second request.
func (h *Hedged) begin() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stats.Reads++
	h.tokens = min(h.tokens+h.opts.Share, float64(h.opts.Burst))
}

// spend takes a second request out of the budget.
func (h *Hedged) spend() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.tokens < 1 {
		h.stats.Denied++
		return false
	}
	h.tokens--
	h.stats.Seconds++
	return true
}

func (h *Hedged) won() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stats.Won++
}

func (h *Hedged) learn(n int, took time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.classes[sizeClass(n)].add(took)
}
