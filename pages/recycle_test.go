package pages

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"testing"
)

// stamped fills a buffer with what only page k has.
func stamped(b []byte, k key) []byte {
	for i := 0; i < len(b); i += 8 {
		binary.LittleEndian.PutUint64(b[i:], uint64(k.pgno)<<32|uint64(i))
	}
	return b
}

// A buffer is used again when its page has gone out, and nobody holds it: neither who has brought it nor who was given it.
func TestRecycle(t *testing.T) {
	t.Parallel()
	const size = 256 // no page is that small: other tests have no such buffers
	for _, test := range []struct {
		name   string
		hold   func(c *Cache, k key, e *entry)
		reuses bool
	}{
		{"nobody holds it", func(_ *Cache, _ key, e *entry) { e.own() }, true},
		{"read", func(c *Cache, k key, e *entry) { e.own(); c.get(k, make([]byte, size)) }, true},
		{"its flight holds it", func(*Cache, key, *entry) {}, false},
		{"given to a reader", func(c *Cache, k key, e *entry) { e.own(); c.look(k) }, false},
		{"given to a local copy", func(_ *Cache, _ key, e *entry) { e.lend(); e.own() }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, pool := NewCache(32*(size+entryOverhead)), &pageBuffers
			seen, reused := map[*byte]bool{}, 0
			for pgno := uint32(1); pgno <= 1000; pgno++ {
				k := key{version: 1, pgno: pgno, owner: 1}
				b := pool.get(size)
				if seen[&b[0]] {
					reused++
				}
				seen[&b[0]] = true // it stays referred to: the collector gives it to nobody
				test.hold(c, k, c.put(k, stamped(b, k), false))
			}
			if test.reuses && reused == 0 || !test.reuses && reused > 0 {
				t.Errorf("%d of 1000 buffers were used before", reused)
			}
			c.drop(1)
			if b := pool.get(size); len(b) != size || !test.reuses && seen[&b[0]] {
				t.Error("what was dropped is used again although somebody holds it")
			}
		})
	}
}

// Whatever comes and goes meanwhile, a reader gets the page that it asked for, and a page that was given stays what it is.
func TestRecycle_Concurrent(t *testing.T) {
	t.Parallel()
	const size, pages = 128, 400
	rounds := 30_000
	if testing.Short() {
		rounds = 5_000
	}
	c, pool := NewCache(64*(size+entryOverhead)), &pageBuffers
	var wg sync.WaitGroup
	for seed := range uint64(4) {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, 1))
			dst, want := make([]byte, size), make([]byte, size)
			held := map[key][]byte{}
			for range rounds {
				k := key{version: 1, pgno: rng.Uint32N(pages) + 1, owner: 1}
				switch n := rng.IntN(100); {
				case n < 50:
					if _, ok := c.get(k, dst); ok && !bytes.Equal(dst, stamped(want, k)) {
						t.Errorf("page %d has another's content", k.pgno)
						return
					}
				case n < 95:
					data := stamped(pool.get(size), k)
					e := c.put(k, data, n%2 == 0)
					if !bytes.Equal(data, stamped(want, k)) { // it is this flight's still
						t.Errorf("page %d changed before its flight let go", k.pgno)
						return
					}
					e.own()
				default:
					if data, ok := c.look(k); ok && len(held) < 200 {
						held[k] = data
					}
				}
			}
			for k, data := range held {
				if !bytes.Equal(data, stamped(want, k)) {
					t.Errorf("page %d, which was given away, has changed", k.pgno)
				}
			}
		})
	}
	wg.Wait()
}
