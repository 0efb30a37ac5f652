package hydrate

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore/filestore"
)

// images shares the primary's images with readers.
type images struct {
	mu    sync.Mutex
	views []*index.View          // guarded by mu
	of    map[*index.View][]byte // guarded by mu
}

func (m *images) add(v *index.View, image []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.of == nil {
		m.of = map[*index.View][]byte{}
	}
	if _, ok := m.of[v]; !ok {
		m.views = append(m.views, v)
		m.of[v] = image
	}
}

// pick returns one of the newest Views, mostly the newest.
func (m *images) pick(rnd *rand.Rand) (*index.View, []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	back := min(len(m.views), 1+rnd.IntN(5)*rnd.IntN(5))
	v := m.views[len(m.views)-back]
	return v, m.of[v]
}

// H4: readers in long transactions, steady writes, hydration on: every page that is served is that of the reader's View. What
// comes with the files of updates is not fetched again, and changes of large files come in few requests.
func TestH4_ReadersDuringUpdates(t *testing.T) {
	t.Parallel()
	r := newReplica(t, 3000)
	var all images
	all.add(r.View(), r.primary.Image(r.View().TXID))
	path := r.path()
	c := r.open(Options{Path: path})
	stop := make(chan struct{})
	var readers sync.WaitGroup
	var served, missed [4]int
	for n := range 4 {
		rnd := rand.New(rand.NewPCG(uint64(n), 1))
		readers.Go(func() {
			page := make([]byte, 4096)
			for {
				v, image := all.pick(rnd)
				for range 50 { // one transaction
					select {
					case <-stop:
						return
					default:
					}
					pgno := 1 + rnd.Uint32N(v.Commit)
					version, ok := v.Version(pgno)
					if !ok {
						t.Errorf("page %d of %d has no version", pgno, v.Commit)
						return
					}
					off := pageOffset(pgno, v.PageSize)
					want := image[off : off+int64(v.PageSize)]
					if !c.ReadPage(v, pgno, version, page) {
						missed[n]++
						c.Offer(v, pgno, version, want)
						continue
					}
					served[n]++
					if !bytes.Equal(page, want) {
						t.Errorf("page %d at txid %s is not that of the primary", pgno, v.TXID)
						return
					}
				}
			}
		})
	}
	commits := 150
	if testing.Short() {
		commits = 30
	}
	wait(t, c)
	before := c.Progress().Bytes
	for i := range commits {
		switch {
		case i%40 == 20:
			r.primary.Exec(`DELETE FROM t WHERE id%4=1`)
			r.primary.Exec(`VACUUM`)
		case i%10 == 5:
			r.insert(200)
		default:
			r.update(5)
		}
		txid := r.primary.Sync()
		must(t, r.Poll(t.Context()))
		v := r.View()
		if v.TXID != txid {
			t.Fatalf("poll came to %s, not %s", v.TXID, txid)
		}
		all.add(v, r.primary.Image(txid))
		if i%10 == 9 {
			wait(t, c)
			checkPages(t, c, v, r.primary.Image(v.TXID))
		}
	}
	arrive(t, c, r.View().TXID)
	wait(t, c)
	close(stop)
	readers.Wait()
	t.Logf("served %v, missed %v, %d bytes fetched for %d updates", served, missed, c.Progress().Bytes-before, commits)
	v := r.View()
	r.checkAll(c, v)

	// Small updates: nothing is fetched. A large one: few requests.
	fetched := c.Progress().Bytes
	for range 10 {
		r.commit(3)
		must(t, r.Poll(t.Context()))
	}
	arrive(t, c, r.View().TXID)
	wait(t, c)
	if n := c.Progress().Bytes - fetched; n != 0 {
		t.Errorf("%d bytes were fetched although they came with the updates", n)
	}
	r.commit(5000)
	must(t, r.Poll(t.Context()))
	r.count.reset()
	arrive(t, c, r.View().TXID)
	wait(t, c)
	r.checkAll(c, r.View())
	if n := r.count.gets.Load(); n > 40 {
		t.Errorf("%d GETs for one large update", n)
	}
	must(t, c.Close())
	r.checkFile(path, r.View().TXID)
}

// T2: times are set while hydration runs, until its end, and after it: each read is right, and the newest state local again.
func TestT2_TimeTravelDuringHydration(t *testing.T) {
	t.Parallel()
	r := newReplica(t, 3000)
	for range 20 {
		r.commit(50)
	}
	r.poll(t)
	gate := make(chan struct{})
	r.count.hook(func(ctx context.Context, key string, size int64) error {
		select {
		case <-gate:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	c := r.open(Options{Path: r.path()})
	var past []*index.View
	traveller := follow(t, r.mem) // whose own reads are not held up
	tl, err := traveller.Timeline(t.Context())
	must(t, err)
	for txid := index.TXID(1); txid <= r.primary.TXID; txid += 5 {
		v, err := tl.At(t.Context(), txid)
		must(t, err)
		past = append(past, v)
		c.Advance(v, nil) // nobody should; nothing may come of it
	}
	travel := func() {
		for _, v := range past {
			checkPages(t, c, v, r.primary.Image(v.TXID))
		}
		checkPages(t, c, r.View(), r.primary.Image(r.View().TXID))
	}
	travel()
	close(gate)
	for c.Progress().State != Complete {
		travel()
	}
	travel()
	if n := checkPages(t, c, past[len(past)-1], r.primary.Image(past[len(past)-1].TXID)); n == 0 {
		t.Error("nothing is served to a reader of a past that has not changed much")
	}
	r.checkAll(c, r.View())
}

// H5: no two copies share a file, in one process or in two.
func TestH5_NeverShared(t *testing.T) {
	t.Parallel()
	bucket := t.TempDir()
	store, err := filestore.Create(bucket, filestore.S3Like)
	must(t, err)
	r := newReplica(t, 300)
	path := r.path()
	c := r.open(Options{Path: path})
	wait(t, c)

	other := newReplica(t, 200)
	if _, err := Open(t.Context(), other.count, "mem://other", other.View(), other.follower, Options{Path: path}); !errors.Is(err, ErrInUse) {
		t.Errorf("a second copy in the same process: %v", err)
	}
	d, err := Open(t.Context(), other.count, "mem://other", other.View(), other.follower, Options{})
	must(t, err)
	go d.Run(t.Context())
	wait(t, d)
	other.checkAll(d, other.View())
	r.checkAll(c, r.View())
	must(t, d.Close())
	must(t, c.Close())

	var log logs
	e, err := Open(t.Context(), other.count, "mem://other", other.View(), other.follower, Options{Path: path, Log: log.logger()})
	must(t, err)
	log.check(t, "it is of replica mem://replica")
	go e.Run(t.Context())
	wait(t, e)
	other.checkAll(e, other.View())
	must(t, e.Close())

	p := newReplicaWith(t, store, 300, smallPages)
	path = p.path()
	p.withChild(bucket, path, func() {
		if _, err := Open(t.Context(), store, "bucket", p.View(), p.follower, Options{Path: path}); !errors.Is(err, ErrInUse) {
			t.Errorf("a second process: %v", err)
		}
	})
	if f, err := Open(t.Context(), store, "bucket", p.View(), p.follower, Options{Path: path}); err != nil {
		t.Errorf("after the other process: %v", err)
	} else {
		must(t, f.Close())
	}
}

// A temporary copy is removed when it is closed, and by the next one when its process is gone.
func TestTemporary(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	t.Setenv("TMP", dir)
	bucket := filepath.Join(t.TempDir(), "bucket")
	store, err := filestore.Create(bucket, filestore.S3Like)
	must(t, err)
	r := newReplicaWith(t, store, 300, smallPages)
	left := func() int {
		entries, err := filepath.Glob(filepath.Join(dir, tempPattern))
		must(t, err)
		return len(entries)
	}
	r.withChild(bucket, "", func() {
		c := r.open(Options{})
		wait(t, c)
		if n := left(); n != 2 || !c.Progress().Temporary {
			t.Errorf("%d temporary copies, want 2; progress %+v", n, c.Progress())
		}
		info, err := os.Stat(c.Progress().Path)
		must(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v", info.Mode())
		}
		must(t, c.Close())
		if n := left(); n != 1 {
			t.Errorf("%d temporary copies after Close, want that of the other process", n)
		}
	})
	if n := left(); n != 1 {
		t.Errorf("%d temporary copies of a process that was killed, want 1", n)
	}
	c := r.openOnly(Options{})
	if n := left(); n != 1 {
		t.Errorf("%d temporary copies, want the new one alone", n)
	}
	must(t, c.Close())
	if n := left(); n != 0 {
		t.Errorf("%d temporary copies in the end", n)
	}
}
