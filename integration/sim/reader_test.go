package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/litefs-s3/litefs-s3/hydrate"
	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/pages"
	"github.com/litefs-s3/litefs-s3/pitr"
)

// reader is a process that reads: it follows, keeps Views for long, goes back in time, and may have a local copy.
type reader struct {
	*actor
	w        *world
	hydrates bool
	path     string // of the local copy

	*opened
}

// opened is a reader while it runs.
type opened struct {
	line    *line
	store   objstore.Store
	tracker atomic.Pointer[index.Tracker]
	source  *pages.Source
	copy    atomic.Pointer[hydrate.Copy]
	early   []index.Blob
	pins    []*index.View
	cancel  func()
	running sync.WaitGroup
}

func (w *world) addReader(i int, hydrates bool) {
	r := &reader{w: w, hydrates: hydrates, path: filepath.Join(w.newDir(), "copy.db")}
	r.actor = w.add(fmt.Sprintf("reader%d", i), r.step)
	w.others = append(w.others, r)
}

func (r *reader) step(ctx context.Context, rng *rand.Rand) error {
	if r.opened == nil {
		return r.open(ctx)
	}
	switch k := rng.IntN(100); {
	case k < 40:
		return r.poll(ctx)
	case k < 55:
		r.pins = append(r.pins, r.tracker.Load().View())
		if len(r.pins) > 5 {
			r.pins = slices.Delete(r.pins, 0, 1)
		}
		return nil
	case k < 78 && len(r.pins) > 0:
		return r.reread(ctx, rng.IntN(len(r.pins)))
	case k < 90:
		return r.travel(ctx, rng)
	case k < 94:
		return r.tracker.Load().Refresh(ctx)
	case k < 97 && r.depth.Load() == 0:
		r.kill(rng)
	}
	return nil
}

func (r *reader) open(ctx context.Context) error {
	l := &line{w: r.w, a: r.actor}
	o := newOpened(l.open(0))
	o.line = l
	tr, err := index.Open(ctx, o.store, index.Options{PollInterval: -1, OnLoad: o.onLoad})
	if err != nil {
		o.source.Close()
		if errors.Is(err, index.ErrNoReplica) {
			return nil
		}
		return err
	}
	o.tracker.Store(tr)
	running, cancel := context.WithCancel(context.Background())
	o.cancel = cancel
	if r.hydrates {
		head := tr.View()
		c, err := hydrate.Open(ctx, o.store, "mem", head, tr, hydrate.Options{Path: r.path, Concurrency: 3})
		if err != nil {
			cancel()
			o.source.Close()
			return fmt.Errorf("local copy: %w", err)
		}
		o.copy.Store(c)
		o.source.SetLocal(c)
		c.Advance(head, o.early)
		o.running.Go(func() { c.Run(running) })
	}
	o.early = nil
	r.opened = o
	return r.check(ctx, tr.View())
}

func newOpened(store objstore.Store) *opened {
	o := &opened{store: store}
	o.source = pages.NewSource(store, o, pages.NewCache(1<<15))
	return o
}

func (o *opened) onLoad(v *index.View, blobs []index.Blob) {
	o.source.Admit(v, blobs)
	if c := o.copy.Load(); c != nil {
		c.Advance(v, blobs)
	} else if o.tracker.Load() == nil {
		o.early = append(o.early, blobs...)
	}
}

// Rehome is the tracker's.
func (o *opened) Rehome(ctx context.Context, v *index.View, gone *index.File) error {
	return o.tracker.Load().Rehome(ctx, v, gone)
}

// Distrust is the tracker's.
func (o *opened) Distrust(ctx context.Context, v *index.View) error {
	return o.tracker.Load().Distrust(ctx, v)
}

func (r *reader) poll(ctx context.Context) error {
	before := r.tracker.Load().View()
	err := r.tracker.Load().Poll(ctx)
	after := r.tracker.Load().View()
	if after.History != before.History { // nothing that was known is left: nobody can tell, and reading on is right
		r.w.counts.taken.Add(1)
	}
	if after.TXID < before.TXID {
		return wrongf("the head went back from %s to %s", before.TXID, after.TXID)
	}
	if err != nil {
		return err
	}
	return r.check(ctx, after)
}

// check compares a View, every page.
func (r *reader) check(ctx context.Context, v *index.View) error {
	m, ok := r.w.model.at(v.TXID)
	switch {
	case !ok:
		return wrongf("a View at %s, which the bucket never had", v.TXID)
	case v.Commit != uint32(len(m.commit.image)):
		return wrongf("the View at %s has %d pages, want %d", v.TXID, v.Commit, len(m.commit.image))
	}
	reader := r.source.NewReader()
	defer reader.Close()
	r.w.counts.reads.Add(1)
	err := r.w.model.compare(m.commit.image, func(pgno uint32, dst []byte) error { return reader.ReadPage(ctx, v, pgno, dst) })
	if err != nil {
		return fmt.Errorf("View at %s: %w", v.TXID, err)
	}
	return nil
}

// reread reads an old View. It may have expired only if no files hold that moment.
func (r *reader) reread(ctx context.Context, i int) error {
	v := r.pins[i]
	err := r.check(ctx, v)
	if !errors.Is(err, index.ErrViewExpired) {
		return err
	}
	r.w.counts.expired.Add(1)
	r.pins = slices.DeleteFunc(r.pins, func(p *index.View) bool { return p == v })
	if r.w.healing.Load() {
		if _, cerr := index.NewChains(r.w.bucket.files()).Chain(v.TXID); cerr == nil {
			return wrongf("%v, although files hold it", err)
		}
	}
	return nil
}

// travel opens a moment of the past: by its number, or by a time.
func (r *reader) travel(ctx context.Context, rng *rand.Rand) error {
	tl, err := r.tracker.Load().Timeline(ctx)
	if err != nil {
		return err
	}
	r.w.counts.travels.Add(1)
	txids := tl.TXIDs()
	if len(txids) == 0 {
		return nil
	}
	txid := txids[rng.IntN(len(txids))]
	if rng.IntN(2) == 0 {
		if txid, err = r.locate(ctx, tl, rng); err != nil || txid == 0 {
			return err
		}
	}
	v, err := tl.At(ctx, txid)
	if err != nil {
		return err
	}
	if v.TXID != txid {
		return wrongf("asked for %s, got %s", txid, v.TXID)
	}
	if err := viewTrouble(r.check(ctx, v)); err != nil {
		return err
	}
	r.pins = append(r.pins, v)
	return nil
}

// locate asks for a moment by a time, and checks the answer.
func (r *reader) locate(ctx context.Context, tl *index.Timeline, rng *rand.Rand) (index.TXID, error) {
	head, _ := r.w.model.at(r.w.model.head())
	at := head.time.Add(-time.Duration(rng.Int64N(int64(40 * time.Minute))))
	want := index.TXID(0)
	for _, txid := range tl.TXIDs() {
		if m, ok := r.w.model.at(txid); ok && !m.time.After(at) {
			want = txid
		}
	}
	got, err := pitr.Locate(ctx, tl, at)
	switch {
	case errors.Is(err, pitr.ErrOutside) && want == 0:
		return 0, nil
	case err != nil && !errors.Is(err, pitr.ErrOutside):
		return 0, err
	case got != want:
		return 0, wrongf("at %s there was %s, and it says %s (%v)", at, want, got, err)
	}
	return got, nil
}

// kill ends the reader at once, and keeps what its local copy has on the disk.
func (r *reader) kill(rng *rand.Rand) {
	o := r.opened
	o.line.kill()
	if r.hydrates {
		r.w.settle()
		r.saveCopy()
	}
	r.close()
	r.w.counts.kills.Add(1)
	r.w.note("%s was killed", r.name)
}

func (r *reader) saveCopy() {
	to := r.w.newDir()
	for _, name := range []string{r.path, r.path + "-hydration"} {
		data, err := os.ReadFile(name)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(to, filepath.Base(name)), data, 0o644)
		}
		if err != nil {
			r.w.wrong(err)
		}
	}
	r.path = filepath.Join(to, filepath.Base(r.path))
}

func (r *reader) close() {
	o := r.opened
	r.opened = nil
	o.cancel()
	o.running.Wait()
	if c := o.copy.Load(); c != nil {
		_ = c.Close() // what it could not save is fetched again
	}
	o.source.Close()
}

// checkCopy compares the file of a local copy that is complete.
func (r *reader) checkCopy(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	if err := r.copy.Load().Wait(ctx); err != nil {
		return wrongf("the local copy is not complete: %v, %+v", err, r.copy.Load().Progress())
	}
	return r.w.checkFile(r.path, r.tracker.Load().View().TXID)
}

// checkFile compares a database file with a moment. What SQLite counts in page 1 is left out.
func (w *world) checkFile(path string, txid index.TXID) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return wrongf("%v", err)
	}
	m, ok := w.model.at(txid)
	if !ok {
		return wrongf("%s is at %s, which the bucket never had", path, txid)
	}
	if len(data) != len(m.commit.image)*pageSize {
		return wrongf("%s at %s has %d bytes, want %d pages", path, txid, len(data), len(m.commit.image))
	}
	return w.model.compare(m.commit.image, func(pgno uint32, dst []byte) error {
		copy(dst, data[(pgno-1)*pageSize:])
		if pgno == 1 {
			copy(dst[24:32], bytes.Repeat([]byte{0}, 8))
			copy(dst[92:100], bytes.Repeat([]byte{0}, 8))
		}
		return nil
	})
}
