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
	// Again is the time between requests for the beginning of an object, or for a listing, while a store hangs. Zero means one
	// second.
	Again time.Duration
}

func (o HedgeOptions) withDefaults() HedgeOptions {
	o.Share = orDefault(o.Share, 0.02)
	o.Burst = orDefault(o.Burst, 4)
	o.MinDelay = orDefault(o.MinDelay, 20*time.Millisecond)
	o.Again = orDefault(o.Again, time.Second)
	return o
}

// hedgeLimit is the longest range that is asked for twice, in bytes. What takes long beyond that is moving the bytes, and
// a second copy of them makes it longer.
const hedgeLimit = 4 << 20

// lookLimit is the longest beginning of an object that is a look for news, in bytes. What is longer is asked for once: it may take
// seconds because of what comes, and to ask again makes them more.
const lookLimit = 1 << 20

// Hedged is a view of a store that asks once more when an answer is late.
//
// Now and then a request takes ten times as long as its neighbours, and a query that needs fifty of them waits for the
// slowest. What is late is learnt from the store: longer than 19 of 20 requests of that kind have taken of late, and
// twice as long as the middle one, before which a second request could hardly come first. Kinds are ranges of about the
// same length, beginnings of objects, and listings. The first of the two that brings an answer wins, and the other one is
// cancelled. That there is no such object is an answer. Another error of the first is its answer, too; it is [Retry] that
// asks again then.
//
// A store that hangs takes requests and answers none, and those that it took it will never answer. So the beginning of an
// object and a listing, which is how a follower looks for news, are asked for again each second while no answer comes,
// whatever the budget: no more often than a follower asks a store that answers. When the store is back, it is found out
// within that second. Ranges are not: what they bring is long, and asked for by many at once.
//
// Puts and deletes go through: a put that is made twice may be two. Put it around [Metrics], so that second requests are
// counted as what they are, and inside of a [Limiter], so that waiting for a slot is not taken for a slow store. The limit
// is exceeded by no more than Burst then, and by four for each look for news while the store hangs.
type Hedged struct {
	Store // what is not hedged goes through

	opts HedgeOptions

	mu      sync.Mutex
	classes [latencyClasses]latencies // guarded by mu: how long requests took, by kind
	tokens  float64                   // guarded by mu: second requests that may be made now
	stats   HedgeStats                // guarded by mu
}

var _ Store = (*Hedged)(nil)

// HedgeStats are the counts of a [Hedged] at one moment.
type HedgeStats struct {
	Reads   int64 // requests that could have been hedged
	Seconds int64 // second requests, and further ones while the store hangs
	Won     int64 // of them, those that came first
	Denied  int64 // late requests for which there was no budget
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

// ReadAt implements RangeReader. When it returns, all requests have ended.
func (h *Hedged) ReadAt(ctx context.Context, ref Ref, p []byte, off int64) error {
	if len(p) == 0 || len(p) > hedgeLimit {
		return h.Store.ReadAt(ctx, ref, p, off)
	}
	into := func(p []byte) asking[[]byte] {
		return func(ctx context.Context) ([]byte, error) { return p, h.Store.ReadAt(ctx, ref, p, off) }
	}
	data, err := hedged(ctx, h, sizeClass(len(p)), into(p), func(ctx context.Context) ([]byte, error) {
		return into(make([]byte, len(p)))(ctx)
	})
	if err == nil && &data[0] != &p[0] { // nobody writes to p any more
		copy(p, data)
	}
	return err
}

// ReadPrefix implements RangeReader. When it returns, all requests have ended.
func (h *Hedged) ReadPrefix(ctx context.Context, ref Ref, n int64) (Part, error) {
	if n > lookLimit {
		return h.Store.ReadPrefix(ctx, ref, n)
	}
	ask := func(ctx context.Context) (Part, error) { return h.Store.ReadPrefix(ctx, ref, n) }
	return hedged(ctx, h, prefixClass, ask, ask)
}

// List implements Lister. When it returns, all requests have ended.
func (h *Hedged) List(ctx context.Context, prefix, startAfter string) (Page, error) {
	ask := func(ctx context.Context) (Page, error) { return h.Store.List(ctx, prefix, startAfter) }
	return hedged(ctx, h, listClass, ask, ask)
}

// begin counts a request, which earns a share of a second one.
func (h *Hedged) begin() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stats.Reads++
	h.tokens = min(h.tokens+h.opts.Share, float64(h.opts.Burst))
}

// late is the time after which a request is late. ok is false while too little is known.
func (h *Hedged) late(class int) (_ time.Duration, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	l := &h.classes[class]
	if l.total < enoughLatencies {
		return 0, false
	}
	return max(l.quantile(0.95), 2*l.quantile(0.5), h.opts.MinDelay), true
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

// overspend counts a further request, which takes what is left of the budget, and more.
func (h *Hedged) overspend() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tokens = max(h.tokens-1, 0)
	h.stats.Seconds++
}

func (h *Hedged) won() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stats.Won++
}

func (h *Hedged) learn(class int, took time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.classes[class].add(took)
}
