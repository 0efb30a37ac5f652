package compact

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/superfly/ltx"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/integration/primary"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/faultstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

// C1: a file with a hole is not compacted upwards and nothing is removed; the message names file and page; and the next run, after
// the file is right again, does everything.
func TestC1_HolesStayWhereTheyAre(t *testing.T) {
	t.Parallel()
	for _, snapshots := range []time.Duration{24 * time.Hour, -1} {
		holesStay(t, snapshots)
	}
}

func holesStay(t *testing.T, snapshots time.Duration) {
	t.Helper()
	w := newWorld(t, 11)
	opts := w.options()
	opts.SnapshotInterval = snapshots
	once := func() (*Report, error) { return newCompactor(t, w.store, opts).Once(t.Context()) }
	w.live(2*time.Minute, 2*time.Second)
	var grown index.TXID // a transaction that grew the database by several pages
	for txid := index.TXID(20); grown == 0; txid++ {
		if len(w.p.Image(txid)) >= len(w.p.Image(txid-1))+3*512 {
			grown = txid
		}
	}
	good := bytes.Clone(w.p.Read(0, grown, grown))
	bad := withoutPage(t, good, uint32(len(w.p.Image(grown))/512)-1)
	f := index.File{Level: 0, Min: grown, Max: grown}
	put := func(data []byte) {
		_, err := w.store.Put(t.Context(), f.Key(), bytes.NewReader(data), objstore.PutOptions{Timestamp: w.p.Time(grown)})
		must(t, err)
	}
	put(bad)
	w.now = w.now.Add(time.Hour)
	r, err := once()
	if !errors.Is(err, index.ErrCorrupt) || !strings.Contains(err.Error(), f.String()) || !strings.Contains(err.Error(), "page ") {
		t.Fatalf("got %v", err)
	}
	if len(r.Deleted) > 0 || len(r.Skipped) == 0 {
		t.Errorf("removed %v, skipped %v", r.Deleted, r.Skipped)
	}
	for _, made := range w.files() {
		if made.Level > 0 && made.Min <= grown && made.Max >= grown {
			t.Errorf("%s was made of a file with a hole", &made)
		}
	}
	put(good)
	_, err = once()
	must(t, err)
	w.checkImages(7)
	one := level(w.files(), 1)
	if one[len(one)-1].Max != w.p.TXID {
		t.Errorf("level 1 ends at %s, the primary at %s", one[len(one)-1].Max, w.p.TXID)
	}
	for i := range one[1:] {
		if one[i+1].Min != one[i].Max+1 {
			t.Errorf("level 1 was never made between %s and %s", &one[i], &one[i+1])
		}
	}
}

// C1: a hole in the first file of an interval is found too, by the size that the file before it left.
func TestC1_HoleAtTheBeginning(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 22)
	w.live(time.Minute, 5*time.Second)
	w.now = w.now.Truncate(30 * time.Second).Add(30*time.Second + time.Millisecond)
	w.once()
	w.p.Exec("INSERT INTO t(x) VALUES (randomblob(9000))")
	grown := w.p.Sync()
	bad := withoutPage(t, w.p.Read(0, grown, grown), uint32(len(w.p.Image(grown))/512)-5)
	f := index.File{Level: 0, Min: grown, Max: grown}
	_, err := w.store.Put(t.Context(), f.Key(), bytes.NewReader(bad), objstore.PutOptions{})
	must(t, err)
	w.now = w.now.Add(time.Minute)
	p, err := newCompactor(t, w.store, w.options()).Plan(t.Context())
	must(t, err)
	first := -1
	for i := range p.Steps {
		if p.Steps[i].Min == grown {
			first = i
		}
	}
	if first < 0 {
		t.Fatalf("no step begins with %s: %v", grown, p)
	}
	if _, err := newCompactor(t, w.store, w.options()).Run(t.Context(), p); !errors.Is(err, index.ErrCorrupt) || !strings.Contains(err.Error(), f.String()) {
		t.Errorf("got %v", err)
	}
}

// withoutPage returns the file without one of its pages, and right otherwise.
func withoutPage(t testing.TB, data []byte, pgno uint32) []byte {
	t.Helper()
	dec := ltx.NewDecoder(bytes.NewReader(data))
	must(t, dec.DecodeHeader())
	h := dec.Header()
	pages := map[uint32][]byte{}
	for {
		var ph ltx.PageHeader
		page := make([]byte, h.PageSize)
		if dec.DecodePage(&ph, page) != nil {
			break
		}
		pages[ph.Pgno] = page
	}
	if _, ok := pages[pgno]; !ok {
		t.Fatalf("page %d is not in the file", pgno)
	}
	delete(pages, pgno)
	b, err := primary.Encode(h, pages)
	must(t, err)
	return b
}

// C1: what others made is read before anything is removed because of it.
func TestC1_NothingGoesForABrokenFile(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 12)
	w.live(3*time.Minute, 2*time.Second)
	w.p.Compact(1, 1, w.p.TXID-10) // by another program, which then stops for good
	merged := level(w.files(), 1)[0]
	good := w.p.Read(1, merged.Min, merged.Max)
	bad := bytes.Clone(good)
	bad[len(bad)/2] ^= 0x40
	_, err := w.store.Put(t.Context(), merged.Key(), bytes.NewReader(bad), objstore.PutOptions{})
	must(t, err)
	w.now = w.now.Add(time.Hour)
	before := len(level(w.files(), 0))
	r, err := newCompactor(t, w.store, w.options()).Once(t.Context())
	if !errors.Is(err, index.ErrCorrupt) || !strings.Contains(err.Error(), merged.String()) || len(r.Deleted) > 0 {
		t.Errorf("got %v, removed %d files", err, len(r.Deleted))
	}
	if after := len(level(w.files(), 0)); after != before {
		t.Errorf("level 0 has %d files, before %d", after, before)
	}
	_, err = w.store.Put(t.Context(), merged.Key(), bytes.NewReader(good), objstore.PutOptions{})
	must(t, err)
	w.now = w.now.Add(time.Hour)
	if r := w.once(); len(r.Deleted) == 0 {
		t.Error("nothing was removed for a sound file")
	}
	w.checkImages(1)
}

// C2: restores that take their time, against a compactor at full speed: each ends with what the primary had at the moment it was
// begun for. A file that a restore chose may have been on its way out already; then the same moment is in other files.
func TestC2_RestoresBesideACompactor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 13)
	opts := w.options()
	opts.Levels = []time.Duration{10 * time.Second, time.Minute}
	opts.SnapshotInterval, opts.Retention = 2*time.Minute, 4*time.Minute
	opts.L0Retention, opts.Grace = 40*time.Second, 30*time.Second
	type running struct {
		chains *index.Chains // as listed when it began
		txid   index.TXID
		until  time.Time
	}
	var restores []running
	finished, again, deleted := 0, 0, 0
	for w.now.Before(start.Add(15 * time.Minute)) {
		w.live(5*time.Second, 2*time.Second)
		r, err := newCompactor(t, w.store, opts).Once(t.Context())
		must(t, err)
		deleted += len(r.Deleted)
		chains := index.NewChains(w.files())
		restores = append(restores, running{chains, chains.Head(), w.now.Add(20 * time.Second)})
		restores = slices.DeleteFunc(restores, func(r running) bool {
			if w.now.Before(r.until) {
				return false
			}
			finished++
			image, err := restore(w.store, r.chains, r.txid) // all of it at the last moment, which is the worst
			if errors.Is(err, objstore.ErrNotFound) {
				again++
				image, err = restore(w.store, index.NewChains(w.files()), r.txid)
			}
			if err != nil || !bytes.Equal(image, w.p.Image(r.txid)) {
				t.Fatalf("restore of %s: %v", r.txid, err)
			}
			return true
		})
	}
	if finished < 90 || deleted < 200 || again > finished/4 {
		t.Errorf("%d restores, %d of them planned again; %d files removed", finished, again, deleted)
	}
	t.Logf("%d restores, %d of them planned again; %d files removed", finished, again, deleted)
	w.checkImages(1)
}

// C3: one missing file is reported, what lies below can be opened, what lies on both sides is merged, and repair
// publishes a whole state above it.
func TestC3_MissingFile(t *testing.T) {
	t.Parallel()
	for _, withImage := range []bool{false, true} {
		w := newWorld(t, 14)
		w.live(4*time.Minute, 2*time.Second)
		missing := w.p.TXID / 2
		must(t, w.store.Delete(t.Context(), (&index.File{Level: 0, Min: missing, Max: missing}).Key()))
		w.now = w.now.Add(20 * time.Minute)
		c := newCompactor(t, w.store, w.options())
		p, err := c.Plan(t.Context())
		must(t, err)
		if p.Gap == nil || *p.Gap != (Gap{missing, missing}) || !strings.Contains(p.String(), missing.String()) || p.Head != missing-1 {
			t.Fatalf("plan: gap %v, head %s", p.Gap, p.Head)
		}
		r, err := c.Run(t.Context(), p)
		must(t, err)
		if r.Gap == nil {
			t.Error("the report does not mention the gap")
		}
		below, above := false, false
		for _, f := range level(w.files(), 1) {
			below = below || f.Max == missing-1
			above = above || f.Min == missing+1
			if f.Min <= missing && missing <= f.Max {
				t.Errorf("%s claims the missing transaction", &f)
			}
		}
		if !below || !above {
			t.Errorf("level 1 is %v, missing is %s", names(level(w.files(), 1)), missing)
		}
		for range 3 { // retention has its way, and must not take what can be opened
			w.now = w.now.Add(10 * time.Minute)
			w.once()
		}
		image, err := restore(w.store, index.NewChains(w.files()), missing-1)
		if err != nil || !bytes.Equal(image, w.p.Image(missing-1)) {
			t.Fatalf("below the gap: %v", err)
		}
		repair(t, w, c, missing, withImage)
	}
}

func repair(t *testing.T, w *world, c *Compactor, missing index.TXID, withImage bool) {
	t.Helper()
	before := w.store.Keys()
	plan, err := c.PlanRepair(t.Context())
	must(t, err)
	if !slices.Equal(before, w.store.Keys()) {
		t.Error("the plan of a repair changed the bucket")
	}
	if plan.Below != missing-1 || plan.New != w.p.TXID+1 || plan.GiveUp == 0 || plan.Gap != (Gap{missing, missing}) {
		t.Errorf("plan %+v", plan)
	}
	want := w.p.Image(missing - 1)
	var image *Image
	if withImage {
		want = w.p.Image(w.p.TXID)
		image = &Image{bytes.NewReader(want), int64(len(want))}
	}
	// Cut off after the first of two files, it can be repeated.
	faulty := newCompactor(t, faultstore.FailNth(1).On("put").Wrap(w.store), w.options())
	if _, err := faulty.Repair(t.Context(), plan, image); !errors.Is(err, faultstore.ErrInjected) {
		t.Fatalf("got %v", err)
	}
	plan, err = c.PlanRepair(t.Context())
	must(t, err)
	r, err := c.Repair(t.Context(), plan, image)
	must(t, err)
	if len(r.Made) != 2 {
		t.Errorf("made %+v", r.Made)
	}
	chains := index.NewChains(w.files())
	if chains.Head() != plan.New || chains.Gap() != nil {
		t.Errorf("after the repair the head is %s and %v, want %s", chains.Head(), chains.Gap(), plan.New)
	}
	got, err := restore(w.store, chains, plan.New)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("after the repair: %v, %d bytes", err, len(got))
	}
	if old, err := restore(w.store, chains, missing-1); err != nil || !bytes.Equal(old, w.p.Image(missing-1)) {
		t.Errorf("the state before the gap: %v", err)
	}
	if _, err := c.PlanRepair(t.Context()); !errors.Is(err, ErrNoGap) {
		t.Errorf("a second repair: %v", err)
	}
}

// dying is a store that a compactor can use until its n-th call, and not any more from then on.
func dying(store objstore.Store, n int64, mode faultstore.Mode) (objstore.Store, func() bool) {
	var mu sync.Mutex
	calls, died := int64(0), false
	return faultstore.Wrap(store, func(context.Context, faultstore.Call) faultstore.Action {
		mu.Lock()
		defer mu.Unlock()
		calls++
		switch {
		case calls <= n:
			return faultstore.Action{}
		case !died:
			died = true
			return faultstore.Action{Mode: mode}
		}
		return faultstore.Action{Mode: faultstore.Refuse}
	}), func() bool { return died }
}

// C4: cut off at any call, before or after it had an effect, a run leaves a replica of which everything can be opened that could
// be before, and the next run makes of it what an undisturbed one would have.
func TestC4_CutOffAnywhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 15)
	w.live(4*time.Minute, 4*time.Second)
	w.once()
	w.now = w.now.Add(6 * time.Minute)
	w.live(time.Minute, 5*time.Second)
	w.now = w.now.Add(8 * time.Minute) // much is due, to be made and to be removed
	base := w.clone()
	openable := index.NewChains(filesOf(t, base)).TXIDs()
	w.once()
	want := w.store.Keys()
	if len(openable) < 40 || len(want) >= len(base.Keys()) {
		t.Fatalf("%d moments; %d objects, and %d after a run", len(openable), len(base.Keys()), len(want))
	}
	w.store = base
	for _, mode := range []faultstore.Mode{faultstore.Refuse, faultstore.LoseReply} {
		for n := int64(0); ; n++ {
			w.store = base
			w.store = w.clone()
			store, died := dying(w.store, n, mode)
			_, err := newCompactor(t, store, w.options()).Once(t.Context())
			if died() && err == nil && n < 5 {
				t.Errorf("call %d failed and nobody said so", n)
			}
			if n%9 == 0 {
				w.checkImages(9)
			}
			if chains := index.NewChains(w.files()); chains.Head() != w.p.TXID || chains.Gap() != nil {
				t.Fatalf("call %d: head %s, %v", n, chains.Head(), chains.Gap())
			}
			w.once()
			if got := w.store.Keys(); !slices.Equal(got, want) {
				t.Fatalf("call %d: after another run\n%v\nwant\n%v", n, got, want)
			}
			if !died() {
				break
			}
		}
	}
}

// C4: several compactors at once, on the same work: one file each comes out, all are content.
func TestC4_SeveralAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 16)
	w.live(6*time.Minute, 3*time.Second)
	w.now = w.now.Add(10 * time.Minute)
	base := w.clone()
	w.once()
	want := w.store.Keys()
	w.store = base
	var wg sync.WaitGroup
	errs := make([]error, 5)
	for i := range errs {
		slow := faultstore.Wrap(w.store, func(_ context.Context, c faultstore.Call) faultstore.Action {
			return faultstore.Action{Delay: time.Duration((c.N*int64(i+1))%7) * 100 * time.Microsecond}
		})
		c := newCompactor(t, slow, w.options())
		wg.Go(func() {
			for range 2 {
				_, err := c.Once(context.Background())
				if err != nil && !errors.Is(err, ErrMoved) && !errors.Is(err, objstore.ErrNotFound) {
					errs[i] = err
				}
			}
		})
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			t.Errorf("compactor %d: %v", i, err)
		}
	}
	w.once()
	if got := w.store.Keys(); !slices.Equal(got, want) {
		t.Errorf("got\n%v\nwant\n%v", got, want)
	}
	w.checkImages(3)
}

// C4: beside a live Litestream nothing is done, and that is said; when it has stopped for good the work is taken up; force does
// it at once; and what compactors of this kind have made is not taken for another program's.
func TestC4_BesideALitestream(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 17)
	w.live(time.Minute, 2*time.Second)
	w.p.Compact(1, 1, w.p.TXID) // the other one
	w.live(2*time.Minute, 2*time.Second)
	before := w.store.Keys()
	r := w.once()
	if r.Deferred == "" || len(r.Made)+len(r.Deleted) > 0 || !slices.Equal(before, w.store.Keys()) {
		t.Fatalf("report %+v", r)
	}
	forced := w.options()
	forced.Force = true
	p, err := newCompactor(t, w.store, forced).Plan(t.Context())
	must(t, err)
	if p.Deferred != "" || len(p.Steps) == 0 {
		t.Errorf("forced: %v", p)
	}
	w.now = w.now.Add(11 * time.Minute)
	if r := w.once(); r.Deferred != "" || len(r.Made) == 0 {
		t.Errorf("after it has stopped: %+v", r)
	}
	w.live(2*time.Minute, 2*time.Second)
	if r := w.once(); r.Deferred != "" || len(r.Made) == 0 {
		t.Errorf("beside its own files: %+v", r)
	}
	w.checkImages(3)
}

// C5: a store that says it has deleted and has not: reported, and what is gone is told from what is not.
func TestC5_DeletesThatDoNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 18)
	w.live(2*time.Minute, 2*time.Second)
	w.once()
	w.now = w.now.Add(20 * time.Minute)
	lying := faultstore.Wrap(w.store, func(_ context.Context, c faultstore.Call) faultstore.Action {
		if c.Op == "delete" {
			return faultstore.Action{Mode: faultstore.Drop}
		}
		return faultstore.Action{}
	})
	before := w.store.Keys()
	r, err := newCompactor(t, lying, w.options()).Once(t.Context())
	if !errors.Is(err, ErrNotDeleted) || len(r.Deleted) > 0 || r.Freed != 0 || !strings.Contains(err.Error(), "L0/") {
		t.Errorf("got %v, %+v", err, r)
	}
	for _, key := range before {
		if !slices.Contains(w.store.Keys(), key) {
			t.Errorf("%s is gone", key)
		}
	}
	if r := w.once(); len(r.Deleted) < 10 {
		t.Errorf("an honest store removed %d files", len(r.Deleted))
	}
	w.checkImages(1)
}

// A push into an empty prefix, into one that is not, and twice at once; what comes out is the image, and goes on to be compacted.
func TestPush(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 19)
	w.live(time.Minute, 2*time.Second)
	data := w.p.Image(w.p.TXID)
	image := Image{bytes.NewReader(data), int64(len(data))}
	store := new(memstore.Store)
	r, err := newCompactor(t, store, w.options()).Push(t.Context(), image)
	must(t, err)
	if len(r.Made) != 1 || r.Made[0].Max != 1 || r.Cost.Puts != 1 {
		t.Errorf("report %+v", r)
	}
	got, err := restore(store, index.NewChains(filesOf(t, store)), 1)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("restored %d bytes of %d: %v", len(got), len(data), err)
	}
	if _, err := newCompactor(t, store, w.options()).Push(t.Context(), image); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("a second push: %v", err)
	}
	other := new(memstore.Store)
	_, err = other.Put(t.Context(), "somebody's/object", strings.NewReader("x"), objstore.PutOptions{})
	must(t, err)
	if _, err := newCompactor(t, other, w.options()).Push(t.Context(), image); !errors.Is(err, ErrNotEmpty) || !strings.Contains(err.Error(), "somebody's/object") {
		t.Errorf("a push beside something else: %v", err)
	}
	if _, err := newCompactor(t, new(memstore.Store), w.options()).Push(t.Context(), Image{strings.NewReader("text"), 4}); !errors.Is(err, ErrNoDatabase) {
		t.Errorf("a push of text: %v", err)
	}

	race := new(memstore.Store)
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for i := range 4 {
		mine := bytes.Clone(data)
		mine[len(mine)-1] = byte(i)
		wg.Go(func() {
			_, err := newCompactor(t, race, Options{}).Push(context.Background(), Image{bytes.NewReader(mine), int64(len(mine))})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won++
			} else if !errors.Is(err, ErrNotEmpty) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won != 1 {
		t.Errorf("%d pushes won", won)
	}
}

// Progress is told, step by step and up to the last page.
func TestProgress(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 20)
	w.live(2*time.Minute, 2*time.Second)
	opts := w.options()
	var told []string
	opts.OnProgress = func(p Progress) { told = append(told, fmt.Sprintf("%d/%d %s %d", p.Step, p.Steps, p.What, p.Done)) }
	r, err := newCompactor(t, w.store, opts).Once(t.Context())
	must(t, err)
	if len(r.Made) < 3 || len(told) < 2*len(r.Made) || !strings.HasPrefix(told[0], fmt.Sprintf("1/%d ", len(r.Made))) ||
		!strings.HasSuffix(told[len(told)-1], fmt.Sprintf(" %d", r.Made[len(r.Made)-1].Pages)) {
		t.Errorf("made %d files, told %v", len(r.Made), told)
	}
}
