package faultstore_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/faultstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
	"github.com/litefs-s3/litefs-s3/objstore/storetest"
)

func TestStore_NoFault(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(*testing.T) objstore.Store { return faultstore.FailNth(1 << 40).Wrap(new(memstore.Store)) })
	storetest.Run(t, func(*testing.T) objstore.Store { return faultstore.ListLate(new(memstore.Store), 0) })
}

// callAll makes one call of each kind and returns their errors.
func callAll(ctx context.Context, store objstore.Store) []error {
	p := make([]byte, 4)
	_, put := store.Put(ctx, "new", bytes.NewReader([]byte("content")), objstore.PutOptions{})
	get := store.ReadAt(ctx, objstore.Ref{Key: "old"}, p, 0)
	_, suffix := store.ReadSuffix(ctx, objstore.Ref{Key: "old"}, 4)
	_, prefix := store.ReadPrefix(ctx, objstore.Ref{Key: "old"}, 4)
	_, list := store.List(ctx, "", "")
	return []error{put, get, suffix, prefix, list, store.Delete(ctx, "old")}
}

func newStore(t *testing.T) *memstore.Store {
	t.Helper()
	store := new(memstore.Store)
	if _, err := store.Put(t.Context(), "old", bytes.NewReader([]byte("old content")), objstore.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	return store
}

func TestFailNth(t *testing.T) {
	t.Parallel()
	for n := range int64(7) {
		fault := faultstore.FailNth(n)
		for i, err := range callAll(t.Context(), fault.Wrap(newStore(t))) {
			if failed := errors.Is(err, faultstore.ErrInjected); failed != (int64(i) == n) {
				t.Errorf("FailNth(%d): call %d got %v", n, i, err)
			}
			if err != nil && !errors.Is(err, objstore.ErrTemporary) {
				t.Errorf("FailNth(%d): call %d got %v, want a temporary error", n, i, err)
			}
		}
		if fault.Fired() != (n < 6) || fault.Calls() != 6 {
			t.Errorf("FailNth(%d): fired %v after %d calls", n, fault.Fired(), fault.Calls())
		}
	}
}

func TestFault_On(t *testing.T) {
	t.Parallel()
	fault := faultstore.FailNth(1).On("get", "list").With(objstore.ErrAccess)
	errs := callAll(t.Context(), fault.Wrap(newStore(t)))
	for i, err := range errs {
		if (err != nil) != (i == 2) {
			t.Errorf("call %d: got %v", i, err)
		}
	}
	if !errors.Is(errs[2], objstore.ErrAccess) || errors.Is(errs[2], objstore.ErrTemporary) {
		t.Errorf("got %v, want access denied", errs[2])
	}
}

func TestModes(t *testing.T) {
	t.Parallel()
	both, old, created := []string{"new", "old"}, []string{"old"}, []string{"new"}
	for _, test := range []struct {
		name     string
		mode     faultstore.Mode
		op       string
		wantKeys []string
		wantErr  bool
	}{
		{"put refused", faultstore.Refuse, "put", old, true},
		{"put, reply lost", faultstore.LoseReply, "put", both, true},
		{"put, body cut", faultstore.Cut, "put", old, true},
		{"put dropped", faultstore.Drop, "put", old, false},
		{"put truncated", faultstore.Truncate, "put", both, false},
		{"delete refused", faultstore.Refuse, "delete", both, true},
		{"delete, reply lost", faultstore.LoseReply, "delete", created, true},
		{"delete dropped", faultstore.Drop, "delete", both, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			inner := newStore(t)
			store := faultstore.FailNth(0).As(test.mode).On(test.op).Wrap(inner)
			_, err := store.Put(t.Context(), "new", bytes.NewReader([]byte("content")), objstore.PutOptions{})
			if test.op == "delete" {
				err = store.Delete(t.Context(), "old")
			}
			if (err != nil) != test.wantErr {
				t.Errorf("got %v", err)
			}
			if keys := inner.Keys(); !slices.Equal(keys, test.wantKeys) {
				t.Errorf("got keys %q, want %q", keys, test.wantKeys)
			}
		})
	}
}

func TestModes_Hang(t *testing.T) {
	t.Parallel()
	for _, mode := range []faultstore.Mode{faultstore.Hang, faultstore.LoseReplyAndHang} {
		synctest.Test(t, func(t *testing.T) {
			inner := newStore(t)
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			begin := time.Now()
			store := faultstore.FailNth(0).As(mode).Wrap(inner)
			_, err := store.Put(ctx, "new", bytes.NewReader([]byte("content")), objstore.PutOptions{})
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 50*time.Millisecond {
				t.Errorf("got %v after %v", err, time.Since(begin))
			}
			if stored := len(inner.Keys()) == 2; stored != (mode == faultstore.LoseReplyAndHang) {
				t.Errorf("mode %d: keys %q", mode, inner.Keys())
			}
		})
	}
}

func TestIgnoreConditions(t *testing.T) {
	t.Parallel()
	inner := newStore(t)
	store := faultstore.Wrap(inner, func(context.Context, faultstore.Call) faultstore.Action {
		return faultstore.Action{Mode: faultstore.IgnoreConditions}
	})
	for _, opts := range []objstore.PutOptions{{OnlyCreate: true}, {IfMatch: "other"}} {
		if _, err := store.Put(t.Context(), "old", bytes.NewReader([]byte("new")), opts); err != nil {
			t.Errorf("%+v: %v", opts, err)
		}
	}
	if err := store.ReadAt(t.Context(), objstore.Ref{Key: "old", ETag: "other"}, make([]byte, 3), 0); err != nil {
		t.Error(err)
	}
}

func TestBefore(t *testing.T) {
	t.Parallel()
	refused := errors.New("not today")
	store := faultstore.Wrap(newStore(t), faultstore.Before(func(op, key string) error {
		if op == "get" && key == "old" {
			return refused
		}
		return nil
	}))
	if _, err := store.ReadSuffix(t.Context(), objstore.Ref{Key: "old"}, 1); !errors.Is(err, refused) {
		t.Errorf("got %v", err)
	}
	if _, err := store.List(t.Context(), "", ""); err != nil {
		t.Error(err)
	}
}

func TestDelay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := faultstore.Wrap(newStore(t), func(context.Context, faultstore.Call) faultstore.Action {
			return faultstore.Action{Delay: time.Second}
		})
		begin := time.Now()
		for _, err := range callAll(t.Context(), store) {
			if err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(begin); took != 6*time.Second {
			t.Errorf("six calls took %v", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := store.List(ctx, "", ""); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

func TestListLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		inner := newStore(t)
		inner.PageSize = 1
		store := faultstore.ListLate(inner, time.Minute)
		for _, key := range []string{"a", "b", "z"} {
			if _, err := store.Put(t.Context(), key, bytes.NewReader(nil), objstore.PutOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		if all, err := objstore.ListAll(t.Context(), store, "", ""); err != nil || len(all) != 1 || all[0].Key != "old" {
			t.Errorf("at once: got %v, %v", all, err)
		}
		time.Sleep(time.Minute)
		if all, err := objstore.ListAll(t.Context(), store, "", ""); err != nil || len(all) != 4 {
			t.Errorf("a minute later: got %v, %v", all, err)
		}
	})
}
