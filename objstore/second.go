package objstore

import (
	"context"
	"errors"
	"time"
)

// asking makes one request.
type asking[T any] func(context.Context) (T, error)

// answer is what a request has brought.
type answer[T any] struct {
	value T
	err   error
}

// says reports whether err is what the store has to say of an object. Other errors are not: asked again it might say another thing.
func says(err error) bool {
	return err == nil || errors.Is(err, ErrNotFound) || errors.Is(err, ErrChanged)
}

// hedged makes a request, and others by second while no answer comes. When it returns, all of them have ended.
func hedged[T any](ctx context.Context, h *Hedged, class int, first, second asking[T]) (T, error) {
	h.begin()
	firstCtx, cancelFirst := context.WithCancel(ctx)
	defer cancelFirst()
	secondCtx, cancelSecond := context.WithCancel(ctx)
	defer cancelSecond()
	start := time.Now()
	spare := make(chan *answer[T], 1)
	go func() {
		a := askLate(secondCtx, cancelSecond, &lateness{h: h, class: class, asked: start}, second)
		if a != nil {
			cancelFirst()
		}
		spare <- a
	}()
	value, err := first(firstCtx)
	took := time.Since(start)
	cancelSecond()
	if other := <-spare; other != nil && !says(err) && ctx.Err() == nil {
		h.won()
		value, err = other.value, other.err
	}
	if says(err) {
		h.learn(class, took) // of a first that lost, this is the least that it would have taken
	}
	return value, err
}

// askLate makes further requests when l says so, and returns the first answer to one of them, or nil when ctx has ended before. When it
// returns, ctx and all of them have ended.
func askLate[T any](ctx context.Context, cancel context.CancelFunc, l *lateness, ask asking[T]) *answer[T] {
	var came chan answer[T] // made with the first of them: most requests need none
	underWay := 0
	defer func() {
		cancel()
		for range underWay {
			<-came
		}
	}()
	timer := time.NewTimer(l.h.opts.MinDelay) // nothing is late before
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case a := <-came:
			underWay--
			if says(a.err) {
				return &a
			}
		case <-timer.C:
			if l.due() {
				if came == nil {
					came = make(chan answer[T])
				}
				underWay++
				limit := l.limit()
				go func() { came <- askWithin(ctx, limit, ask) }()
			}
			if pause := l.pause(); pause > 0 {
				timer.Reset(pause)
			}
		}
	}
}

// askWithin makes one request. A limit of 0 is none.
func askWithin[T any](ctx context.Context, limit time.Duration, ask asking[T]) (a answer[T]) {
	ctx, cancel := withTimeout(ctx, limit)
	defer cancel()
	a.value, a.err = ask(ctx)
	return a
}

// lateness is how long one request has been without an answer, and what follows from that.
type lateness struct {
	h     *Hedged
	class int
	asked time.Time // when the newest request was made
	late  bool      // the first was late, and the budget was asked for a second one
}

// insists reports whether a request is made again and again.
func (l *lateness) insists() bool { return l.class >= sizeClasses }

// again is the time between requests that are made again and again. A store that always takes longer does not hang.
func (l *lateness) again() time.Duration {
	late, _ := l.h.late(l.class)
	return max(l.h.opts.Again, late)
}

// limit is how long a further request may take, 0 for ever. Of those that are made again and again three are under way at once: one that
// a store has lost must not stay, and one that takes its time must not be cancelled for the next.
func (l *lateness) limit() time.Duration {
	if l.insists() {
		return 3 * l.again()
	}
	return 0
}

// due reports whether to make another request now, and takes it that it is made.
func (l *lateness) due() bool {
	late, known := l.h.late(l.class)
	waited := time.Since(l.asked)
	switch {
	case !l.late && known && waited >= late:
		l.late = true
		if !l.h.spend() {
			return false
		}
	case l.insists() && waited >= l.again():
		l.late = true
		l.h.overspend()
	default:
		return false
	}
	l.asked = time.Now()
	return true
}

// pause is the time after which to look whether another request is due; 0 is never. What is late may become known meanwhile, from requests
// that began at the same time.
func (l *lateness) pause() time.Duration {
	late, known := l.h.late(l.class)
	switch {
	case !l.late && !known:
		return l.h.opts.MinDelay
	case !l.late:
		return max(time.Until(l.asked.Add(late)), 1)
	case l.insists():
		return max(time.Until(l.asked.Add(l.again())), 1)
	}
	return 0
}
