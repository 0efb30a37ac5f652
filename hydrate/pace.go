package hydrate

import (
	"context"
	"sync"
	"time"
)

// pacer spreads what is fetched over time. The zero value does not.
type pacer struct {
	rate int64 // bytes a second; 0 is no bound

	mu   sync.Mutex
	next time.Time // when the next request may begin; guarded by mu
}

// wait returns when n bytes may be fetched, or ctx has ended.
func (p *pacer) wait(ctx context.Context, n int64) error {
	if p.rate == 0 {
		return nil
	}
	now := time.Now()
	p.mu.Lock()
	begin := now
	if p.next.After(now) {
		begin = p.next
	}
	p.next = begin.Add(time.Duration(float64(n) / float64(p.rate) * float64(time.Second)))
	p.mu.Unlock()
	return sleep(ctx, begin.Sub(now))
}

// sleep returns after d, or earlier with an error when ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

const (
	// firstPause and longestPause bound the time after a failed request before the next.
	firstPause   = 100 * time.Millisecond
	longestPause = 30 * time.Second
	// growAfter is how many requests must succeed in a row before longer ones are tried.
	growAfter = 16
)

// pause is how long to wait after failed attempts, of which so many came before in a row.
func pause(before int) time.Duration { return min(longestPause, firstPause<<min(before, 16)) }

// window decides how much a request asks for, and how long to wait after one that failed. Connections that are cut after so
// many bytes let short requests through.
type window struct {
	mu     sync.Mutex
	size   int64 // longest range; guarded by mu
	most   int64 // guarded by mu
	failed int   // requests in a row; guarded by mu
	good   int   // requests in a row; guarded by mu
}

func newWindow(most int64) *window { return &window{size: most, most: most} }

func (w *window) limit() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.size
}

// fail notes that a request for size bytes failed, and returns how long to wait.
func (w *window) fail(size int64) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.size = max(minRange, min(w.size, size/2))
	w.good = 0
	w.failed++
	return pause(w.failed - 1)
}

// succeed notes that a request succeeded.
func (w *window) succeed() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failed = 0
	if w.good++; w.good >= growAfter {
		w.good, w.size = 0, min(w.most, 2*w.size)
	}
}
