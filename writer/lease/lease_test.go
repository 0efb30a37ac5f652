package lease

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/faultstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// clock is a time that tests move.
type clock struct{ at atomic.Int64 }

func (c *clock) now() time.Time           { return time.Unix(1_800_000_000, 0).Add(time.Duration(c.at.Load())) }
func (c *clock) advance(d time.Duration)  { c.at.Add(int64(d)) }
func (c *clock) options(o string) Options { return Options{Owner: o, Now: c.now} }

func show(t *testing.T, store Store) Info {
	t.Helper()
	i, _, err := Show(t.Context(), store)
	must(t, err)
	return i
}

func TestLease(t *testing.T) {
	t.Parallel()
	store, c := new(memstore.Store), new(clock)
	if _, ok, err := Show(t.Context(), store); ok || err != nil {
		t.Fatalf("there is a lease: %v", err)
	}
	a, err := Acquire(t.Context(), store, c.options("a"))
	must(t, err)
	if i := show(t, store); i.Generation != 1 || i.Owner != "a" || !i.ExpiresAt.Equal(c.now().Add(DefaultTTL)) {
		t.Fatalf("%+v", i)
	}
	_, err = Acquire(t.Context(), store, c.options("b"))
	var held *HeldError
	if !errors.As(err, &held) || held.Owner != "a" || !held.Expires.Equal(c.now().Add(DefaultTTL)) || !errors.Is(err, ErrHeld) {
		t.Fatalf("got %v", err)
	}
	c.advance(20 * time.Second)
	must(t, a.Renew(t.Context()))
	if i := show(t, store); i.Generation != 1 || !i.ExpiresAt.Equal(c.now().Add(DefaultTTL)) || !a.Deadline().Equal(i.ExpiresAt) {
		t.Fatalf("%+v", i)
	}
	c.advance(29 * time.Second)
	if _, err = Acquire(t.Context(), store, c.options("b")); !errors.Is(err, ErrHeld) {
		t.Fatalf("got %v", err)
	}
	c.advance(time.Second)
	b, err := Acquire(t.Context(), store, c.options("b"))
	must(t, err)
	if err := a.Renew(t.Context()); !errors.Is(err, ErrLost) || !strings.Contains(err.Error(), "b's, generation 2") {
		t.Fatalf("got %v", err)
	}
	must(t, a.Release(t.Context())) // which changes nothing
	if i := show(t, store); i.Owner != "b" || i.Released {
		t.Fatalf("%+v", i)
	}
	must(t, b.Release(t.Context()))
	if i := show(t, store); !i.Released || !i.ExpiresAt.Before(c.now()) || i.Generation != 2 {
		t.Fatalf("%+v", i)
	}
	if err := b.Renew(t.Context()); !errors.Is(err, ErrLost) {
		t.Fatalf("a released lease: %v", err)
	}
	a, err = Acquire(t.Context(), store, c.options("a"))
	must(t, err)
	before, err := Break(t.Context(), store)
	must(t, err)
	if before.Owner != "a" || before.Generation != 3 {
		t.Fatalf("broken: %+v", before)
	}
	if err := a.Renew(t.Context()); !errors.Is(err, ErrLost) {
		t.Fatalf("a broken lease: %v", err)
	}
	_, err = Acquire(t.Context(), store, c.options("c"))
	must(t, err)
	if i := show(t, store); i.Generation != 5 {
		t.Fatalf("generation %d", i.Generation)
	}
}

// TestDead: who knows that the owner is dead need not wait.
func TestDead(t *testing.T) {
	t.Parallel()
	store, c := new(memstore.Store), new(clock)
	opts := c.options("a")
	opts.Nonce = "before"
	_, err := Acquire(t.Context(), store, opts)
	must(t, err)
	opts.Nonce, opts.Mine = "after", []string{"other"}
	if _, err := Acquire(t.Context(), store, opts); !errors.Is(err, ErrHeld) {
		t.Fatalf("got %v", err)
	}
	opts.Mine = []string{"other", "before"}
	_, err = Acquire(t.Context(), store, opts)
	must(t, err)
}

// TestLitestream: the members that Litestream reads and writes, by the names that it has for them.
func TestLitestream(t *testing.T) {
	t.Parallel()
	store, c := new(memstore.Store), new(clock)
	_, err := Acquire(t.Context(), store, c.options("a"))
	must(t, err)
	var theirs struct {
		Generation int64     `json:"generation"`
		ExpiresAt  time.Time `json:"expires_at"`
		Owner      string    `json:"owner"`
	}
	must(t, json.Unmarshal(store.Objects()[0].Data, &theirs))
	if theirs.Generation != 1 || theirs.Owner != "a" || !theirs.ExpiresAt.Equal(c.now().Add(DefaultTTL)) {
		t.Fatalf("%+v", theirs)
	}
	theirs.Owner, theirs.Generation = "litestream:1", 7
	body, err := json.Marshal(theirs)
	must(t, err)
	_, err = store.Put(t.Context(), Key, bytes.NewReader(body), objstore.PutOptions{})
	must(t, err)
	if _, err := Acquire(t.Context(), store, c.options("a")); !errors.Is(err, ErrHeld) {
		t.Fatalf("got %v", err)
	}
	c.advance(time.Minute)
	_, err = Acquire(t.Context(), store, c.options("a"))
	must(t, err)
	if i := show(t, store); i.Generation != 8 {
		t.Fatalf("%+v", i)
	}
}

func TestDamaged(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"", "nonsense", "{}", "[]", `{"generation":-1,"expires_at":"2026-01-01T00:00:00Z"}`} {
		store := new(memstore.Store)
		_, err := store.Put(t.Context(), Key, strings.NewReader(body), objstore.PutOptions{})
		must(t, err)
		if _, err := Acquire(t.Context(), store, Options{}); !errors.Is(err, ErrDamaged) {
			t.Fatalf("%q: %v", body, err)
		}
		_, err = Break(t.Context(), store)
		must(t, err)
		_, err = Acquire(t.Context(), store, Options{})
		must(t, err)
	}
}

// TestEveryFault lets each request fail in turn: who believes that it has the lease has it, and a lost answer is no reason to lose it.
func TestEveryFault(t *testing.T) {
	t.Parallel()
	for _, mode := range []faultstore.Mode{faultstore.Refuse, faultstore.LoseReply} {
		for nth := int64(0); ; nth++ {
			mem, c := new(memstore.Store), new(clock)
			fault := faultstore.FailNth(nth).As(mode)
			store := fault.Wrap(mem)
			l, err := Acquire(t.Context(), store, c.options("a"))
			if err != nil {
				continue
			}
			for range 3 {
				c.advance(10 * time.Second)
				for err = l.Renew(t.Context()); err != nil; err = l.Renew(t.Context()) {
					if errors.Is(err, ErrLost) {
						t.Fatalf("mode %d, call %d: %v", mode, nth, err)
					}
				}
				if i := show(t, mem); i.Owner != "a" || i.Generation != 1 || !i.ExpiresAt.Equal(l.Deadline()) {
					t.Fatalf("mode %d, call %d: %+v, deadline %v", mode, nth, i, l.Deadline())
				}
			}
			for err = l.Release(t.Context()); err != nil; err = l.Release(t.Context()) {
			}
			if i := show(t, mem); !i.Released {
				t.Fatalf("mode %d, call %d: %+v", mode, nth, i)
			}
			if !fault.Fired() {
				break
			}
		}
	}
}

// TestRace: of many who want it, one gets it.
func TestRace(t *testing.T) {
	t.Parallel()
	store, c := new(memstore.Store), new(clock)
	for round := range 20 {
		var won atomic.Int64
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				_, err := Acquire(context.Background(), store, c.options("x"))
				switch {
				case err == nil:
					won.Add(1)
				case !errors.Is(err, ErrHeld):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 || show(t, store).Generation != int64(round+1) {
			t.Fatalf("round %d: %d won, generation %d", round, won.Load(), show(t, store).Generation)
		}
		c.advance(time.Minute)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"generation":1,"expires_at":"2026-01-01T00:00:00Z","owner":"a","nonce":"n","released":true}`))
	f.Add([]byte(`{"generation":1e99}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		i, err := decode(b)
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Fatal(err)
			}
			return
		}
		text, err := json.Marshal(i)
		must(t, err)
		again, err := decode(text)
		if err != nil || again.Generation != i.Generation || !again.ExpiresAt.Equal(i.ExpiresAt) || again.Nonce != i.Nonce || again.Released != i.Released {
			t.Fatalf("%+v became %+v: %v", i, again, err)
		}
	})
}
