package index

import (
	"context"
	"time"
)

// How a Tracker stands to news.
const (
	awake  int32 = iota // Run polls, or is about to
	asleep              // Run has returned: nobody needed news
	rising              // somebody needs news again, and has not got them yet
)

// rouseWithin is how long somebody who reads waits for the look that ends a sleep. Then it goes on as it does while polls fail.
const rouseWithin = 5 * time.Second

// fallAsleep ends polling when nobody needs news.
func (t *Tracker) fallAsleep() bool {
	if t.await.Load() > 0 || t.holds.Load() > 0 || t.PollInterval() < 0 || !t.opts.Idle() {
		return false
	}
	t.sleep.Store(asleep)
	return true
}

// rise ends a sleep: a look for news has ended, well or not, after somebody asked for news.
func (t *Tracker) rise() { t.sleep.CompareAndSwap(rising, awake) }

// Rouse is for who needs news, and costs nothing while the Tracker is awake. When it is asleep Rouse looks for news, so that the head is as new as it
// would be had the Tracker polled all the time: all who come meanwhile wait for that look. When it fails, or takes five seconds, State says
// so, and the head stays what it was: what a follower reads whose polls fail. The only error is that ctx has ended.
//
// run tells one of the callers to call Run again, also when there is an error.
func (t *Tracker) Rouse(ctx context.Context) (run bool, err error) {
	if t.sleep.Load() == awake {
		return false, nil
	}
	run = t.sleep.CompareAndSwap(asleep, rising)
	within, cancel := context.WithTimeout(ctx, rouseWithin)
	defer cancel()
	began, failed := time.Now(), t.State().Err != nil
	looked, err := t.catchUp(within)
	if ctx.Err() != nil {
		return run, ctx.Err() // the next one looks, or Run
	}
	t.rise() // when time is up
	if looked {
		t.tell(ctx, began, err, failed)
	}
	return run, nil
}

// catchUp looks for news unless somebody just did.
func (t *Tracker) catchUp(ctx context.Context) (looked bool, err error) {
	if err := t.takeTurn(ctx); err != nil {
		return false, err
	}
	defer t.giveTurn()
	if t.sleep.Load() == awake || elapsed(t.polled, time.Now()) < t.PollInterval() {
		return false, nil
	}
	err = t.noted(ctx, func() error { return t.look(ctx) })
	if ctx.Err() == nil {
		t.rise() // before others have their turn
	}
	return true, err
}
