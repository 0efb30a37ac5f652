package objstore

import (
	"context"
	"io"
)

// Limit returns a view of store with at most n requests under way; others wait, or give up when their context ends.
// n below 1 counts as 1. To share one limit between several stores use a [Limiter].
func Limit(store Store, n int) Store {
	return NewLimiter(n).Limit(store)
}

// Limiter is a bound on requests under way, shared by all stores made with it: one per process, as a rule.
type Limiter struct {
	slots chan struct{} // holds one value per request under way
}

// NewLimiter returns a Limiter for n requests; n below 1 counts as 1.
func NewLimiter(n int) *Limiter {
	return &Limiter{slots: make(chan struct{}, max(1, n))}
}

// Limit returns a view of store whose requests count against l.
func (l *Limiter) Limit(store Store) Store {
	return &limited{store: store, limiter: l}
}

// InUse returns the number of requests under way.
func (l *Limiter) InUse() int { return len(l.slots) }

// do runs request once a slot is free. What waits is served in order of arrival.
func (l *Limiter) do(ctx context.Context, op, key string, request func() error) error {
	if err := ctx.Err(); err != nil { // select would choose at random
		return &OpError{Op: op, Key: key, Err: err}
	}
	select {
	case l.slots <- struct{}{}:
	case <-ctx.Done():
		return &OpError{Op: op, Key: key, Err: ctx.Err()}
	}
	defer func() { <-l.slots }()
	return request()
}

type limited struct {
	store   Store
	limiter *Limiter
}

func (s *limited) ReadAt(ctx context.Context, ref Ref, p []byte, off int64) error {
	if len(p) == 0 {
		return s.store.ReadAt(ctx, ref, p, off) // no request
	}
	return s.limiter.do(ctx, "get", ref.Key, func() error {
		return s.store.ReadAt(ctx, ref, p, off)
	})
}

func (s *limited) ReadSuffix(ctx context.Context, ref Ref, n int64) (part Part, err error) {
	err = s.limiter.do(ctx, "get", ref.Key, func() error {
		part, err = s.store.ReadSuffix(ctx, ref, n)
		return err
	})
	return part, err
}

func (s *limited) ReadPrefix(ctx context.Context, ref Ref, n int64) (part Part, err error) {
	err = s.limiter.do(ctx, "get", ref.Key, func() error {
		part, err = s.store.ReadPrefix(ctx, ref, n)
		return err
	})
	return part, err
}

func (s *limited) List(ctx context.Context, prefix, startAfter string) (page Page, err error) {
	err = s.limiter.do(ctx, "list", prefix, func() error {
		page, err = s.store.List(ctx, prefix, startAfter)
		return err
	})
	return page, err
}

func (s *limited) Put(ctx context.Context, key string, body io.ReadSeeker, opts PutOptions) (etag string, err error) {
	err = s.limiter.do(ctx, "put", key, func() error {
		etag, err = s.store.Put(ctx, key, body, opts)
		return err
	})
	return etag, err
}

func (s *limited) Delete(ctx context.Context, keys ...string) error {
	if len(keys) == 0 {
		return nil
	}
	return s.limiter.do(ctx, "delete", keys[0], func() error {
		return s.store.Delete(ctx, keys...)
	})
}
