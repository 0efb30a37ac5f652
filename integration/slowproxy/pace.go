package slowproxy

import (
	"context"
	"sync"
	"time"
)

const (
	// coarse is how much later than asked for Go's timers may fire, with some margin.
	coarse = 2 * time.Millisecond
	// minWait is a wait not worth a sleep; a pacer makes up for it later.
	minWait = 200 * time.Microsecond
	// carryOver is the time for which a pacer lets unused bandwidth be caught up on, which evens out late wake-ups.
	carryOver = 20 * time.Millisecond
)

// sleep waits for d, to a tenth of a millisecond, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	until := time.Now().Add(d)
	if d > coarse {
		timer := time.NewTimer(d - coarse)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
	}
	if rest := time.Until(until); rest > 0 {
		nap(rest)
	}
}

// pacer hands out sending time at a fixed rate. The zero value is ready; it is safe for concurrent use.
type pacer struct {
	mu   sync.Mutex
	next time.Time // guarded by mu: when the bytes let through so far are sent
}

// wait waits until n more bytes may pass at rate bytes per second. A rate of zero is no limit.
func (p *pacer) wait(ctx context.Context, n int, rate int64) {
	if rate <= 0 || n == 0 {
		return
	}
	p.mu.Lock()
	if floor := time.Now().Add(-carryOver); p.next.Before(floor) {
		p.next = floor
	}
	p.next = p.next.Add(time.Duration(float64(n) / float64(rate) * float64(time.Second)))
	until := p.next
	p.mu.Unlock()
	if d := time.Until(until); d > minWait {
		sleep(ctx, d)
	}
}
