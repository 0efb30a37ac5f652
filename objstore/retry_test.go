package objstore_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/faultstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

// everyCall is a call of each kind.
var everyCall = []struct {
	name string
	call func(context.Context, objstore.Store) error
}{
	{"read", func(ctx context.Context, s objstore.Store) error {
		return s.ReadAt(ctx, objstore.Ref{Key: "a"}, make([]byte, 1), 0)
	}},
	{"suffix", func(ctx context.Context, s objstore.Store) error {
		_, err := s.ReadSuffix(ctx, objstore.Ref{Key: "a"}, 1)
		return err
	}},
	{"prefix", func(ctx context.Context, s objstore.Store) error {
		_, err := s.ReadPrefix(ctx, objstore.Ref{Key: "a"}, 1<<62)
		return err
	}},
	{"list", func(ctx context.Context, s objstore.Store) error {
		_, err := s.List(ctx, "", "")
		return err
	}},
	{"put", func(ctx context.Context, s objstore.Store) error {
		_, err := s.Put(ctx, "b", bytes.NewReader([]byte("content")), objstore.PutOptions{OnlyCreate: true})
		return err
	}},
	{"delete", func(ctx context.Context, s objstore.Store) error { return s.Delete(ctx, "b") }},
}

// failFirst fails the first n calls with err and counts them all.
func failFirst(n int64, err error, calls *int64) faultstore.Plan {
	return func(_ context.Context, c faultstore.Call) faultstore.Action {
		*calls = c.N + 1
		if c.N < n {
			return faultstore.Action{Mode: faultstore.Refuse, Err: err}
		}
		return faultstore.Action{}
	}
}

func TestRetry(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name      string
		fail      int64
		err       error
		want      error
		wantCalls int64
	}{
		{"nothing wrong", 0, nil, nil, 1},
		{"heals", 3, objstore.ErrTemporary, nil, 4},
		{"heals at the last attempt", 7, objstore.ErrTemporary, nil, 8},
		{"gives up", 8, objstore.ErrTemporary, objstore.ErrTemporary, 8},
		{"not found", 1, objstore.ErrNotFound, objstore.ErrNotFound, 1},
		{"no right", 1, objstore.ErrAccess, objstore.ErrAccess, 1},
		{"changed", 1, objstore.ErrChanged, objstore.ErrChanged, 1},
		{"short", 1, objstore.ErrShortObject, objstore.ErrShortObject, 1},
	} {
		for _, op := range everyCall {
			t.Run(test.name+"/"+op.name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					inner := fill(t, new(memstore.Store), map[string][]byte{"a": {1}})
					var calls int64
					store := objstore.Retry(faultstore.Wrap(inner, failFirst(test.fail, test.err, &calls)), objstore.RetryOptions{})
					if err := op.call(t.Context(), store); !errors.Is(err, test.want) {
						t.Errorf("got %v, want %v", err, test.want)
					}
					if calls != test.wantCalls {
						t.Errorf("%d calls, want %d", calls, test.wantCalls)
					}
				})
			})
		}
	}
}

func TestRetry_Pauses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var failures []objstore.Failure
		var calls int64
		store := objstore.Retry(faultstore.Wrap(new(memstore.Store), failFirst(100, nil, &calls)), objstore.RetryOptions{
			Attempts: 5, FirstDelay: time.Second, MaxDelay: 4 * time.Second,
			OnRetry: func(f objstore.Failure) { failures = append(failures, f) },
		})
		begin := time.Now()
		_, err := store.List(t.Context(), "p/", "")
		if !errors.Is(err, objstore.ErrTemporary) || !errors.Is(err, faultstore.ErrInjected) {
			t.Errorf("got %v", err)
		}
		var sum time.Duration
		for i, f := range failures {
			mean := min(time.Second<<i, 4*time.Second)
			if f.Op != "list" || f.Key != "p/" || f.Attempt != i+1 || f.Err == nil || f.Delay < mean/2 || f.Delay > mean*3/2 {
				t.Errorf("failure %d: %+v", i, f)
			}
			sum += f.Delay
		}
		if len(failures) != 4 || time.Since(begin) != sum {
			t.Errorf("%d pauses of %v together in %v", len(failures), sum, time.Since(begin))
		}
	})
}

func TestRetry_AttemptTimeout(t *testing.T) {
	t.Parallel()
	for _, op := range everyCall {
		t.Run(op.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				inner := fill(t, new(memstore.Store), map[string][]byte{"a": {1}})
				store := objstore.Retry(faultstore.FailNth(0).As(faultstore.Hang).Wrap(inner),
					objstore.RetryOptions{AttemptTimeout: time.Second, Deadline: -1})
				if err := op.call(t.Context(), store); err != nil {
					t.Errorf("one call that hangs: %v", err)
				}
			})
		})
	}
}

func TestRetry_Deadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := objstore.Retry(faultstore.Wrap(new(memstore.Store), func(context.Context, faultstore.Call) faultstore.Action {
			return faultstore.Action{Mode: faultstore.Hang}
		}), objstore.RetryOptions{AttemptTimeout: 3 * time.Second, Deadline: 10 * time.Second})
		begin := time.Now()
		_, err := store.List(t.Context(), "", "")
		if !errors.Is(err, objstore.ErrTemporary) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want a temporary error and not the caller's deadline", err)
		}
		if took := time.Since(begin); took > 10*time.Second || took < 8*time.Second {
			t.Errorf("took %v, want about 10 s", took)
		}
	})
}

func TestRetry_Canceled(t *testing.T) {
	t.Parallel()
	for _, mode := range []faultstore.Mode{faultstore.Refuse, faultstore.Hang} {
		for _, op := range everyCall {
			synctest.Test(t, func(t *testing.T) {
				plan := func(context.Context, faultstore.Call) faultstore.Action { return faultstore.Action{Mode: mode} }
				store := objstore.Retry(faultstore.Wrap(new(memstore.Store), plan),
					objstore.RetryOptions{Attempts: 1000, FirstDelay: time.Minute, MaxDelay: time.Minute})
				ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
				defer cancel()
				begin := time.Now()
				err := op.call(ctx, store)
				if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, objstore.ErrTemporary) {
					t.Errorf("%s, mode %d: got %v, want the caller's deadline and nothing temporary", op.name, mode, err)
				}
				if took := time.Since(begin); took != 50*time.Millisecond {
					t.Errorf("%s, mode %d: took %v", op.name, mode, took)
				}
			})
		}
	}
}

// TestRetry_AmbiguousPut is about conditional puts whose first reply is lost after they took effect.
func TestRetry_AmbiguousPut(t *testing.T) {
	t.Parallel()
	ours, theirs := bytes.Repeat([]byte("our"), 1<<20), bytes.Repeat([]byte("own"), 1<<20)
	for _, mode := range []faultstore.Mode{faultstore.Refuse, faultstore.LoseReply, faultstore.LoseReplyAndHang, faultstore.Hang} {
		for _, test := range []struct {
			name      string
			before    []byte // what is there at first
			between   []byte // what somebody else puts between the first try and the second, unless ours is there
			overMatch bool
			wantWin   bool
			lost      error
		}{
			{"create alone", nil, nil, false, true, nil},
			{"create and lose", nil, theirs, false, mode == faultstore.LoseReply || mode == faultstore.LoseReplyAndHang, objstore.ErrExists},
			{"create what is taken", theirs, nil, false, false, objstore.ErrExists},
			{"replace alone", theirs, nil, true, true, nil},
			{"replace and lose", theirs, ours[:5], true, mode == faultstore.LoseReply || mode == faultstore.LoseReplyAndHang, objstore.ErrChanged},
		} {
			for _, md5 := range []bool{true, false} {
				t.Run(test.name, func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) {
						w := newAmbiguous(t, test.before, test.between, mode, md5)
						opts := objstore.PutOptions{OnlyCreate: !test.overMatch}
						if test.overMatch {
							opts.IfMatch = w.etag(t)
						}
						etag, err := w.store.Put(t.Context(), "k", bytes.NewReader(ours), opts)
						switch {
						case test.wantWin && (err != nil || etag != w.etag(t) || !bytes.Equal(w.inner.Objects()[0].Data, ours)):
							t.Errorf("mode %d: got %q, %v, want success", mode, etag, err)
						case !test.wantWin && (!errors.Is(err, test.lost) || bytes.Equal(w.inner.Objects()[0].Data, ours)):
							t.Errorf("mode %d: got %v, want %v", mode, err, test.lost)
						}
					})
				})
			}
		}
	}
}

// ambiguous is a store whose first put fails in some mode, and where somebody else puts something right after.
type ambiguous struct {
	inner *memstore.Store
	outer objstore.Store // as the caller sees ETags
	store objstore.Store
}

func newAmbiguous(t *testing.T, before, between []byte, mode faultstore.Mode, md5 bool) *ambiguous {
	w := &ambiguous{inner: new(memstore.Store)}
	w.outer = w.inner
	if !md5 {
		w.outer = oddETags{w.inner}
	}
	if before != nil {
		fill(t, w.inner, map[string][]byte{"k": before})
	}
	var first sync.Once
	faulty := faultstore.Wrap(w.outer, func(ctx context.Context, c faultstore.Call) (a faultstore.Action) {
		if c.Op != "put" {
			return a
		}
		taken := true
		first.Do(func() { a, taken = faultstore.Action{Mode: mode}, false })
		stored := mode == faultstore.LoseReply || mode == faultstore.LoseReplyAndHang
		if taken && between != nil && !stored {
			fill(t, w.inner, map[string][]byte{"k": between})
		}
		return a
	})
	w.store = objstore.Retry(faulty, objstore.RetryOptions{AttemptTimeout: time.Second})
	return w
}

func (w *ambiguous) etag(t *testing.T) string {
	t.Helper()
	part, err := w.outer.ReadPrefix(t.Context(), objstore.Ref{Key: "k"}, 1)
	if err != nil {
		t.Fatal(err)
	}
	return part.ETag
}

// oddETags has ETags that are not the MD5 of the content.
type oddETags struct{ *memstore.Store }

const odd = "odd-"

func (s oddETags) ReadAt(ctx context.Context, ref objstore.Ref, p []byte, off int64) error {
	ref.ETag = strings.TrimPrefix(ref.ETag, odd)
	return s.Store.ReadAt(ctx, ref, p, off)
}

func (s oddETags) ReadPrefix(ctx context.Context, ref objstore.Ref, n int64) (objstore.Part, error) {
	part, err := s.Store.ReadPrefix(ctx, ref, n)
	part.ETag = odd + part.ETag
	return part, err
}

func (s oddETags) Put(ctx context.Context, key string, body io.ReadSeeker, opts objstore.PutOptions) (string, error) {
	opts.IfMatch = strings.TrimPrefix(opts.IfMatch, odd)
	etag, err := s.Store.Put(ctx, key, body, opts)
	return odd + etag, err
}

// TestRetry_EveryFault lets each call under a put fail in each mode.
func TestRetry_EveryFault(t *testing.T) {
	t.Parallel()
	modes := []faultstore.Mode{faultstore.Refuse, faultstore.LoseReply, faultstore.Cut, faultstore.Hang, faultstore.LoseReplyAndHang}
	for _, mode := range modes {
		for n := int64(0); ; n++ {
			fired := true
			synctest.Test(t, func(t *testing.T) {
				inner := new(memstore.Store)
				first := faultstore.FailNth(0).As(faultstore.LoseReply).On("put") // so that settling takes part
				second := faultstore.FailNth(n).As(mode)
				store := objstore.Retry(second.Wrap(first.Wrap(inner)), objstore.RetryOptions{AttemptTimeout: time.Second})
				_, err := store.Put(t.Context(), "k", bytes.NewReader([]byte("content")), objstore.PutOptions{OnlyCreate: true})
				if err != nil || !slices.Equal(inner.Keys(), []string{"k"}) {
					t.Errorf("mode %d, call %d: got %v and %q", mode, n, err, inner.Keys())
				}
				fired = second.Fired()
			})
			if !fired {
				break
			}
		}
	}
}
