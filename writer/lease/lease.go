package lease

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/litefs-s3/litefs-s3/objstore"
)

// Options of a lease. The zero value works.
type Options struct {
	// Owner is who wants it, for people: the default is the host's name and the process's number.
	Owner string
	// TTL is how long it is valid from each renewal on. Zero means 30 s.
	TTL time.Duration
	// Now is the clock. Nil means time.Now.
	Now func() time.Time
	// Nonce is what the owner knows its lease again by. Empty means a new one.
	Nonce string
	// Mine are nonces of owners that are known to be dead, for instance of the process that had the same commit log before: their
	// lease may be taken at once.
	Mine []string
}

// DefaultTTL is how long a lease is valid when nothing else is said.
const DefaultTTL = 30 * time.Second

func (o Options) withDefaults() Options {
	if o.Owner == "" {
		host, err := os.Hostname()
		if err != nil {
			host = "unknown"
		}
		o.Owner = fmt.Sprintf("%s:%d", host, os.Getpid())
	}
	if o.TTL <= 0 {
		o.TTL = DefaultTTL
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Nonce == "" {
		o.Nonce = rand.Text()
	}
	return o
}

// Lease is one that was acquired. Its methods are safe for concurrent use.
type Lease struct {
	store Store
	opts  Options

	mu       sync.Mutex
	last     found     // as we wrote it; guarded by mu
	deadline time.Time // by our clock; guarded by mu
}

// tries is how often a change is tried again when somebody else was faster.
const tries = 3

// Acquire takes the lease if it is free, expired, or Mine. A HeldError says who has it.
func Acquire(ctx context.Context, store Store, opts Options) (*Lease, error) {
	l := &Lease{store: store, opts: opts.withDefaults()}
	var err error
	for range tries {
		var now found
		if now, err = get(ctx, store); err != nil {
			return nil, err
		}
		if now.etag != "" && !l.mayTake(now.Info) {
			return nil, &HeldError{Owner: now.Owner, Expires: now.ExpiresAt}
		}
		if err = l.write(ctx, now, now.Generation+1); err == nil {
			return l, nil
		}
		if !errors.Is(err, objstore.ErrExists) && !errors.Is(err, objstore.ErrChanged) {
			return nil, err
		}
	}
	return nil, err
}

func (l *Lease) mayTake(i Info) bool {
	return i.Free(l.opts.Now()) || i.Nonce != "" && (i.Nonce == l.opts.Nonce || slices.Contains(l.opts.Mine, i.Nonce))
}

// write makes the lease ours until one TTL from now. Whatever goes wrong, it looks whether what it wrote arrived.
func (l *Lease) write(ctx context.Context, over found, generation int64) error {
	sent := l.opts.Now()
	want := Info{
		Generation: generation, ExpiresAt: sent.Add(l.opts.TTL).UTC().Truncate(time.Millisecond), Owner: l.opts.Owner, Nonce: l.opts.Nonce,
	}
	now, err := put(ctx, l.store, over, want)
	if err != nil {
		there, rerr := get(ctx, l.store)
		if rerr != nil || there.Nonce != want.Nonce || there.Generation != want.Generation || !there.ExpiresAt.Equal(want.ExpiresAt) {
			return err
		}
		now = there // the answer was lost, the request was not
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last, l.deadline = now, sent.Add(l.opts.TTL)
	return nil
}

// Deadline is until when the lease is certainly ours, by our clock.
func (l *Lease) Deadline() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.deadline
}

// Info is the object as it was last written.
func (l *Lease) Info() Info {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last.Info
}

func (l *Lease) current() found {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// Renew moves the deadline one TTL from now. It works after the deadline, too, as long as nobody else has taken the lease: then
// it is ErrLost. An object that somebody has deleted is written again.
func (l *Lease) Renew(ctx context.Context) error {
	last := l.current()
	if last.Released {
		return fmt.Errorf("%w: it was given back", ErrLost)
	}
	err := l.write(ctx, last, last.Generation)
	if !errors.Is(err, objstore.ErrChanged) && !errors.Is(err, objstore.ErrNotFound) {
		return err
	}
	now, rerr := get(ctx, l.store)
	switch {
	case rerr != nil:
		return rerr
	case now.etag == "":
		return l.write(ctx, found{}, last.Generation+1)
	case now.Nonce != l.opts.Nonce || now.Released:
		return fmt.Errorf("%w: it is %s's, generation %d", ErrLost, now.Owner, now.Generation)
	}
	return l.write(ctx, now, now.Generation) // an earlier renewal whose answer was lost
}

// Release gives the lease back, so that another one can take it at once. A lease that is lost already is no error.
func (l *Lease) Release(ctx context.Context) error {
	last := l.current()
	err := l.giveBack(ctx, last)
	if err == nil {
		return nil
	}
	now, rerr := get(ctx, l.store)
	switch {
	case rerr != nil:
		return err
	case now.Nonce != l.opts.Nonce || now.Released:
		return nil
	case now.etag != last.etag:
		return l.giveBack(ctx, now)
	}
	return err
}

func (l *Lease) giveBack(ctx context.Context, over found) error {
	i := over.Info
	i.ExpiresAt, i.Released = time.Unix(0, 0).UTC(), true
	now, err := put(ctx, l.store, over, i)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last, l.deadline = now, time.Time{}
	return nil
}
