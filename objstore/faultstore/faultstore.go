package faultstore

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"github.com/litefs-s3/litefs-s3/objstore"
)

// ErrInjected is in every error this package makes.
var ErrInjected = errors.New("injected fault")

// Mode says what becomes of a call.
type Mode int

const (
	// Pass hands the call on to the store.
	Pass Mode = iota
	// Refuse fails before anything happens.
	Refuse
	// LoseReply lets the call take effect and fails nevertheless: an error after the store has acted, or a reply
	// that never arrived.
	LoseReply
	// Hang waits for the end of the caller's context; nothing happens in the store.
	Hang
	// LoseReplyAndHang lets the call take effect and then waits for the end of the caller's context.
	LoseReplyAndHang
	// Cut breaks the body half way. A read leaves garbage in the buffer and fails; a put reads half of the body,
	// stores nothing and fails; other calls are refused.
	Cut
	// Truncate stores the first half of the body of a put and says that all is well. Other calls pass.
	Truncate
	// Drop says that a put or a delete went well and does nothing. Other calls pass.
	Drop
	// IgnoreConditions passes the call without OnlyCreate, IfMatch and the ETag of the Ref.
	IgnoreConditions
)

// Call is a request on its way to the store.
type Call struct {
	N   int64  // its number since Wrap, from 0
	Op  string // "get", "list", "put" or "delete"
	Key string // the prefix of a list, the first key of a delete
}

// Action is what becomes of a call. The zero value passes it.
type Action struct {
	Mode Mode
	// Err, when not nil, is in the error of a call that fails, beside ErrInjected. Nil means objstore.ErrTemporary.
	Err error
	// Delay is the time the call waits first, whatever the mode. It ends early with the caller's context.
	Delay time.Duration
}

// Plan decides what becomes of a call. It is called before the call does anything, by the goroutine of the caller.
type Plan func(ctx context.Context, c Call) Action

// Before is a plan that refuses each call for which f returns an error, with that error in it.
func Before(f func(op, key string) error) Plan {
	return func(_ context.Context, c Call) Action {
		if err := f(c.Op, c.Key); err != nil {
			return Action{Mode: Refuse, Err: err}
		}
		return Action{}
	}
}

// Wrap returns a view of store in which plan decides what becomes of each call.
func Wrap(store objstore.Store, plan Plan) objstore.Store {
	return &faulty{store: store, plan: plan}
}

// Fault makes one call fail. Make it with FailNth.
type Fault struct {
	n     int64
	mode  Mode
	err   error
	ops   []string // empty: all
	calls atomic.Int64
}

// FailNth returns a fault that refuses the n-th call, counted from 0 over all stores wrapped with it.
func FailNth(n int64) *Fault {
	return &Fault{n: n, mode: Refuse}
}

// As makes the call fail in another mode. It returns f.
func (f *Fault) As(mode Mode) *Fault {
	f.mode = mode
	return f
}

// With puts err into the error of the call, in place of objstore.ErrTemporary. It returns f.
func (f *Fault) With(err error) *Fault {
	f.err = err
	return f
}

// On counts only calls of these operations: "get", "list", "put", "delete". It returns f.
func (f *Fault) On(ops ...string) *Fault {
	f.ops = ops
	return f
}

// Wrap returns a view of store that has the fault.
func (f *Fault) Wrap(store objstore.Store) objstore.Store {
	return Wrap(store, f.plan)
}

// Fired says whether the call has come.
func (f *Fault) Fired() bool { return f.calls.Load() > f.n }

// Calls is the number of calls counted so far.
func (f *Fault) Calls() int64 { return f.calls.Load() }

func (f *Fault) plan(_ context.Context, c Call) Action {
	if len(f.ops) > 0 && !slices.Contains(f.ops, c.Op) {
		return Action{}
	}
	if f.calls.Add(1)-1 != f.n {
		return Action{}
	}
	return Action{Mode: f.mode, Err: f.err}
}

type faulty struct {
	store objstore.Store
	plan  Plan
	calls atomic.Int64
}

// do asks the plan about a call and carries its action out. request takes effect in the store; cut does what is left
// of it when the body breaks.
func (s *faulty) do(ctx context.Context, op, key string, request func(Mode) error, cut func() error) error {
	action := s.plan(ctx, Call{N: s.calls.Add(1) - 1, Op: op, Key: key})
	if err := sleep(ctx, action.Delay); err != nil {
		return &objstore.OpError{Op: op, Key: key, Err: err}
	}
	switch action.Mode {
	case Refuse:
	case Hang:
		return hang(ctx, op, key)
	case LoseReply, LoseReplyAndHang:
		if err := request(Pass); err != nil {
			return err
		}
		if action.Mode == LoseReplyAndHang {
			return hang(ctx, op, key)
		}
	case Cut:
		if err := cut(); err != nil {
			return err
		}
	default:
		return request(action.Mode)
	}
	return injected(op, key, action.Err)
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func hang(ctx context.Context, op, key string) error {
	<-ctx.Done()
	return &objstore.OpError{Op: op, Key: key, Err: fmt.Errorf("%w: %w", ErrInjected, ctx.Err())}
}

func injected(op, key string, err error) error {
	if err == nil {
		err = objstore.ErrTemporary
	}
	return &objstore.OpError{Op: op, Key: key, Err: fmt.Errorf("%w: %w", ErrInjected, err)}
}

func nothing() error { return nil }

func refFor(mode Mode, ref objstore.Ref) objstore.Ref {
	if mode == IgnoreConditions {
		ref.ETag = ""
	}
	return ref
}

func (s *faulty) ReadAt(ctx context.Context, ref objstore.Ref, p []byte, off int64) error {
	if len(p) == 0 {
		return s.store.ReadAt(ctx, ref, p, off) // no request
	}
	return s.do(ctx, "get", ref.Key, func(mode Mode) error {
		return s.store.ReadAt(ctx, refFor(mode, ref), p, off)
	}, func() error {
		err := s.store.ReadAt(ctx, ref, p, off)
		copy(p[len(p)/2:], bytes.Repeat([]byte{0xfa}, len(p)))
		return err
	})
}

func (s *faulty) ReadSuffix(ctx context.Context, ref objstore.Ref, n int64) (objstore.Part, error) {
	return s.readPart(ctx, ref, func(ref objstore.Ref) (objstore.Part, error) {
		return s.store.ReadSuffix(ctx, ref, n)
	})
}

func (s *faulty) ReadPrefix(ctx context.Context, ref objstore.Ref, n int64) (objstore.Part, error) {
	return s.readPart(ctx, ref, func(ref objstore.Ref) (objstore.Part, error) {
		return s.store.ReadPrefix(ctx, ref, n)
	})
}

func (s *faulty) readPart(ctx context.Context, ref objstore.Ref, read func(objstore.Ref) (objstore.Part, error)) (
	part objstore.Part, err error,
) {
	err = s.do(ctx, "get", ref.Key, func(mode Mode) error {
		part, err = read(refFor(mode, ref))
		return err
	}, nothing)
	if err != nil {
		return objstore.Part{}, err
	}
	return part, nil
}

func (s *faulty) List(ctx context.Context, prefix, startAfter string) (page objstore.Page, err error) {
	err = s.do(ctx, "list", prefix, func(Mode) error {
		page, err = s.store.List(ctx, prefix, startAfter)
		return err
	}, nothing)
	if err != nil {
		return objstore.Page{}, err
	}
	return page, nil
}

func (s *faulty) Put(
	ctx context.Context, key string, body io.ReadSeeker, opts objstore.PutOptions,
) (etag string, err error) {
	err = s.do(ctx, "put", key, func(mode Mode) error {
		etag, err = s.put(ctx, mode, key, body, opts)
		return err
	}, func() error {
		_, err := firstHalf(body)
		return err
	})
	if err != nil {
		return "", err
	}
	return etag, nil
}

func (s *faulty) put(
	ctx context.Context, mode Mode, key string, body io.ReadSeeker, opts objstore.PutOptions,
) (string, error) {
	switch mode {
	case Drop:
		return md5Of(body)
	case Truncate:
		half, err := firstHalf(body)
		if err != nil {
			return "", err
		}
		return s.store.Put(ctx, key, bytes.NewReader(half), opts)
	case IgnoreConditions:
		opts.OnlyCreate, opts.IfMatch = false, ""
	}
	return s.store.Put(ctx, key, body, opts)
}

func md5Of(body io.ReadSeeker) (string, error) {
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	sum := md5.New()
	if _, err := io.Copy(sum, body); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func firstHalf(body io.ReadSeeker) ([]byte, error) {
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(body)
	return data[:len(data)/2], err
}

func (s *faulty) Delete(ctx context.Context, keys ...string) error {
	if len(keys) == 0 {
		return nil
	}
	return s.do(ctx, "delete", keys[0], func(mode Mode) error {
		if mode == Drop {
			return nil
		}
		return s.store.Delete(ctx, keys...)
	}, nothing)
}
