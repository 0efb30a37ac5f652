package objstore_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/faultstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
	"github.com/litefs-s3/litefs-s3/objstore/storetest"
)

// TestDecorators checks the contract through every decorator, and through all of them at once.
func TestDecorators(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		wrap func(objstore.Store) objstore.Store
	}{
		{"retry", func(s objstore.Store) objstore.Store { return objstore.Retry(s, objstore.RetryOptions{}) }},
		{"limit", func(s objstore.Store) objstore.Store { return objstore.Limit(s, 2) }},
		{"metrics", func(s objstore.Store) objstore.Store { return objstore.NewMetrics(s) }},
		{"hedge", func(s objstore.Store) objstore.Store { return objstore.Hedge(s, objstore.HedgeOptions{}) }},
		{"prefix", func(s objstore.Store) objstore.Store { return objstore.WithPrefix(s, "a b/c") }},
		{"all", func(s objstore.Store) objstore.Store {
			s = objstore.Limit(objstore.Hedge(objstore.NewMetrics(objstore.WithPrefix(s, "/app/")), objstore.HedgeOptions{}), 4)
			return objstore.Retry(s, objstore.RetryOptions{Attempts: 2})
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			open := func(*testing.T) objstore.Store { return test.wrap(&memstore.Store{PageSize: 7}) }
			storetest.Run(t, open)
			storetest.RunKeys(t, open, nil)
		})
	}
	t.Run("readonly", func(t *testing.T) {
		t.Parallel()
		storetest.RunReadOnly(t, func(t *testing.T, objects map[string][]byte) objstore.Store {
			return objstore.ReadOnly(fill(t, new(memstore.Store), objects))
		})
	})
}

func fill[S objstore.Store](t *testing.T, store S, objects map[string][]byte) S {
	t.Helper()
	for key, data := range objects {
		if _, err := store.Put(t.Context(), key, bytes.NewReader(data), objstore.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	return store
}

func TestReadOnly(t *testing.T) {
	t.Parallel()
	inner := fill(t, new(memstore.Store), map[string][]byte{"a": {1}})
	store := objstore.ReadOnly(inner)
	if _, err := store.Put(t.Context(), "b", bytes.NewReader(nil), objstore.PutOptions{}); !errors.Is(err, objstore.ErrReadOnly) {
		t.Errorf("put: got %v", err)
	}
	if err := store.Delete(t.Context(), "a"); !errors.Is(err, objstore.ErrReadOnly) {
		t.Errorf("delete: got %v", err)
	}
	if keys := inner.Keys(); len(keys) != 1 {
		t.Errorf("got keys %q", keys)
	}
}

func TestWithPrefix(t *testing.T) {
	t.Parallel()
	inner := fill(t, new(memstore.Store), map[string][]byte{"app": {1}, "app-2/x": {2}, "app/x": {3}, "app0/x": {4}})
	if objstore.WithPrefix(inner, "//") != objstore.Store(inner) {
		t.Error("an empty prefix is not the store itself")
	}
	store := objstore.WithPrefix(inner, "app")
	all, err := objstore.ListAll(t.Context(), store, "", "")
	if err != nil || len(all) != 1 || all[0].Key != "x" {
		t.Errorf("got %v and %v, want x alone", all, err)
	}
	_, err = store.ReadPrefix(t.Context(), objstore.Ref{Key: "y"}, 1)
	if err == nil || !strings.Contains(err.Error(), `"app/y"`) {
		t.Errorf("got %v, want the whole key in it", err)
	}
	if err := store.Delete(t.Context(), "x"); err != nil || len(inner.Keys()) != 3 {
		t.Errorf("got %v, left %q", err, inner.Keys())
	}
}

// delayed makes every request take d.
func delayed(store objstore.Store, d time.Duration) objstore.Store {
	return faultstore.Wrap(store, func(context.Context, faultstore.Call) faultstore.Action {
		return faultstore.Action{Delay: d}
	})
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		inner := fill(t, new(memstore.Store), map[string][]byte{"a": make([]byte, 100)})
		m := objstore.NewMetrics(delayed(inner, time.Second))
		ref := objstore.Ref{Key: "a"}
		check(t, m.ReadAt(t.Context(), ref, make([]byte, 10), 0)) // wave 1
		check(t, m.ReadAt(t.Context(), ref, nil, 0))              // no request
		check(t, m.Delete(t.Context()))                           // no request
		before := m.Stats()

		var wg sync.WaitGroup
		for range 5 { // wave 2
			wg.Go(func() {
				_, err := m.ReadSuffix(t.Context(), ref, 1000)
				check(t, err)
			})
		}
		wg.Wait()
		_, err := m.Put(t.Context(), "b", bytes.NewReader(make([]byte, 7)), objstore.PutOptions{}) // 3
		check(t, err)
		_, err = m.List(t.Context(), "", "") // 4
		check(t, err)
		check(t, m.Delete(t.Context(), "a"))                                                    // 5
		if _, err := m.ReadPrefix(t.Context(), ref, 1); !errors.Is(err, objstore.ErrNotFound) { // 6
			t.Error(err)
		}
		_, err = m.Put(t.Context(), "b", bytes.NewReader(nil), objstore.PutOptions{OnlyCreate: true}) // 7
		if !errors.Is(err, objstore.ErrExists) {
			t.Error(err)
		}
		want := objstore.Stats{
			Gets: 6, Lists: 1, Puts: 2, Deletes: 1, NotFound: 1, Errors: 1, BytesIn: 500, BytesOut: 7, Waves: 6, MaxInFlight: 5,
		}
		if got := m.Stats().Sub(before); got != want || got.Requests() != 10 {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	})
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

func TestLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := objstore.NewMetrics(delayed(fill(t, new(memstore.Store), map[string][]byte{"a": {1}}), time.Second))
		limiter := objstore.NewLimiter(3)
		one, other := limiter.Limit(m), limiter.Limit(objstore.WithPrefix(m, "p"))
		begin := time.Now()
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				_, err := one.List(t.Context(), "", "")
				check(t, err)
			})
			wg.Go(func() {
				_, err := other.List(t.Context(), "", "")
				check(t, err)
			})
		}
		synctest.Wait()
		if limiter.InUse() != 3 {
			t.Errorf("%d requests under way, want 3", limiter.InUse())
		}
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		if _, err := one.List(ctx, "", ""); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a waiting request whose context ends: got %v", err)
		}
		wg.Wait()
		if took := time.Since(begin); took != 4*time.Second || m.Stats().MaxInFlight != 3 {
			t.Errorf("12 requests, 3 at once, took %v with at most %d", took, m.Stats().MaxInFlight)
		}
	})
}
