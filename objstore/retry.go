package objstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// RetryOptions say how long [Retry] keeps trying. The zero value is fit for a bucket on the Internet.
type RetryOptions struct {
	// Attempts is the number of tries, the first one included. Zero means 8; 1 or less than zero means no retries.
	Attempts int
	// FirstDelay is the mean pause before the second try; each further one is twice as long, give or take half.
	// Zero means 50 ms; negative means no pauses.
	FirstDelay time.Duration
	// MaxDelay bounds a pause. Zero means 2 s.
	MaxDelay time.Duration
	// Deadline bounds one call with all its tries and pauses. Each whole MiB to move adds two seconds to it. Zero means 2 minutes;
	// negative means no bound.
	Deadline time.Duration
	// AttemptTimeout bounds one try. Each whole MiB to move adds one second to it. Zero means 30 s; negative means no
	// bound.
	AttemptTimeout time.Duration
	// OnRetry, when not nil, is told of each try that failed and will be followed by another one. It must return at
	// once and be safe for concurrent use.
	OnRetry func(Failure)
}

// Failure is a try that failed and will be followed by another one.
type Failure struct {
	Op      string // as in OpError
	Key     string
	Attempt int           // from 1
	Err     error         // why it failed
	Delay   time.Duration // pause until the next try
}

func (o RetryOptions) withDefaults() RetryOptions {
	o.Attempts = orDefault(o.Attempts, 8)
	o.FirstDelay = orDefault(o.FirstDelay, 50*time.Millisecond)
	o.MaxDelay = orDefault(o.MaxDelay, 2*time.Second)
	o.Deadline = orDefault(o.Deadline, 2*time.Minute)
	o.AttemptTimeout = orDefault(o.AttemptTimeout, 30*time.Second)
	return o
}

func orDefault[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}

// Retry returns a view of store that tries again, after a growing random pause, what failed with ErrTemporary or took
// too long. It gives up with the last error, and at once when the caller's context ends.
//
// A conditional Put whose first try may have arrived is a special case: when a later try finds the condition broken,
// Retry reads the object back, and if it is what was to be put, that is success.
func Retry(store Store, opts RetryOptions) Store {
	return &retrying{store: store, opts: opts.withDefaults()}
}

type retrying struct {
	store Store
	opts  RetryOptions
}

// try runs request until it succeeds, fails for good, or there is no time or attempt left. size is the number of
// bytes it moves. op and key are for OnRetry.
func (s *retrying) try(ctx context.Context, op, key string, size int64, request func(context.Context) error) error {
	parent := ctx
	deadline := s.deadline(size)
	ctx, cancel := withTimeout(ctx, deadline)
	defer cancel()

	var last error
	attempt := 0
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		attempt++
		last = s.attempt(parent, ctx, op, key, size, request)
		if last != nil && !errors.Is(last, ErrTemporary) {
			return struct{}{}, backoff.Permanent(last)
		}
		return struct{}{}, last
	}, s.options(op, key, deadline, &attempt)...)

	switch {
	case err == nil || !errors.Is(last, ErrTemporary):
		return last
	case parent.Err() != nil: // it ended during a pause
		return &OpError{Op: op, Key: key, Err: fmt.Errorf("%w; until then: %s", parent.Err(), last)}
	case attempt > 1:
		return fmt.Errorf("gave up after %d attempts: %w", attempt, last)
	}
	return last
}

// attempt runs request once. When it runs out of its own time but not of the caller's, that is ErrTemporary.
func (s *retrying) attempt(
	parent, ctx context.Context, op, key string, size int64, request func(context.Context) error,
) error {
	ctx, cancel := withTimeout(ctx, s.attemptLimit(size))
	defer cancel()
	err := request(ctx)
	if err != nil && ctx.Err() != nil && parent.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		return &OpError{Op: op, Key: key, Err: fmt.Errorf("no whole answer in time: %w", ErrTemporary)}
	}
	return err
}

// attemptLimit is the time one try has to move size bytes, or to be asked for more than any object has.
func (s *retrying) attemptLimit(size int64) time.Duration {
	if s.opts.AttemptTimeout <= 0 {
		return 0
	}
	return s.opts.AttemptTimeout + moving(size)
}

// deadline is the time all tries together have.
func (s *retrying) deadline(size int64) time.Duration {
	if s.opts.Deadline <= 0 {
		return s.opts.Deadline
	}
	return s.opts.Deadline + 2*moving(size)
}

// moving is the time that size bytes may take beyond what a request takes anyway.
func moving(size int64) time.Duration {
	const largest = 1 << 40 // bytes; keeps the product below from overflowing
	return time.Duration(min(size, largest)>>20) * time.Second
}

func (s *retrying) options(op, key string, deadline time.Duration, attempt *int) []backoff.RetryOption {
	pause := &backoff.ExponentialBackOff{
		InitialInterval:     max(0, s.opts.FirstDelay),
		RandomizationFactor: 0.5,
		Multiplier:          2,
		MaxInterval:         s.opts.MaxDelay,
	}
	notify := func(err error, delay time.Duration) {
		if s.opts.OnRetry != nil {
			s.opts.OnRetry(Failure{Op: op, Key: key, Attempt: *attempt, Err: err, Delay: delay})
		}
	}
	return []backoff.RetryOption{
		backoff.WithBackOff(pause),
		backoff.WithMaxTries(uint(max(1, s.opts.Attempts))),
		backoff.WithMaxElapsedTime(max(0, deadline)),
		backoff.WithNotify(notify),
	}
}

// withTimeout is context.WithTimeout, but a limit that is not positive is none.
func withTimeout(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	if limit <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, limit)
}

func (s *retrying) ReadAt(ctx context.Context, ref Ref, p []byte, off int64) error {
	return s.try(ctx, "get", ref.Key, int64(len(p)), func(ctx context.Context) error {
		return s.store.ReadAt(ctx, ref, p, off)
	})
}

func (s *retrying) ReadSuffix(ctx context.Context, ref Ref, n int64) (part Part, err error) {
	err = s.try(ctx, "get", ref.Key, n, func(ctx context.Context) error {
		part, err = s.store.ReadSuffix(ctx, ref, n)
		return err
	})
	return part, err
}

func (s *retrying) ReadPrefix(ctx context.Context, ref Ref, n int64) (part Part, err error) {
	err = s.try(ctx, "get", ref.Key, n, func(ctx context.Context) error {
		part, err = s.store.ReadPrefix(ctx, ref, n)
		return err
	})
	return part, err
}

func (s *retrying) List(ctx context.Context, prefix, startAfter string) (page Page, err error) {
	err = s.try(ctx, "list", prefix, 0, func(ctx context.Context) error {
		page, err = s.store.List(ctx, prefix, startAfter)
		return err
	})
	return page, err
}

func (s *retrying) Delete(ctx context.Context, keys ...string) error {
	if len(keys) == 0 {
		return nil
	}
	return s.try(ctx, "delete", keys[0], 0, func(ctx context.Context) error {
		return s.store.Delete(ctx, keys...)
	})
}

func (s *retrying) Put(ctx context.Context, key string, body io.ReadSeeker, opts PutOptions) (etag string, err error) {
	size, err := body.Seek(0, io.SeekEnd)
	if err != nil {
		return "", &OpError{Op: "put", Key: key, Err: fmt.Errorf("size of the body: %w", err)}
	}
	mayHaveArrived := false
	err = s.try(ctx, "put", key, size, func(ctx context.Context) error {
		etag, err = s.store.Put(ctx, key, body, opts)
		mayHaveArrived = mayHaveArrived || errors.Is(err, ErrTemporary) || errors.Is(err, context.DeadlineExceeded)
		return err
	})
	conditionBroken := errors.Is(err, ErrExists) || errors.Is(err, ErrChanged)
	if !conditionBroken || !mayHaveArrived {
		return etag, err
	}
	return s.settle(ctx, key, body, size, err)
}
