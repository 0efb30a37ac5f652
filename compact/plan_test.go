package compact

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

// However late one looks, the same files come out: their boundaries are multiples of the intervals, by the headers.
func TestPlan_LateOrOften(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	late := newWorld(t, 1)
	for range 80 {
		w.live(5*time.Second, 2*time.Second)
		w.once()
	}
	late.now = start
	for range 80 {
		late.live(5*time.Second, 2*time.Second)
	}
	late.once()
	for _, n := range []int{1, 2} {
		often, once := names(level(w.files(), n)), names(level(late.files(), n))
		if !slices.Equal(often, once) || len(once) < []int{0, 13, 1}[n] {
			t.Errorf("level %d, every 5 s: %v\nat once: %v", n, often, once)
		}
	}
	w.checkImages(11)
	late.checkImages(11)
	for i := range late.files() {
		f := &late.files()[i]
		if f.Level == 0 || f.Level == index.SnapshotLevel {
			continue
		}
		interval := []time.Duration{0, 30 * time.Second, 5 * time.Minute, time.Hour}[f.Level]
		from, to := late.p.Time(f.Min), late.p.Time(f.Max)
		if !from.Truncate(interval).Equal(to.Truncate(interval)) {
			t.Errorf("%s holds what was written from %s to %s", f, from, to)
		}
		if next := late.p.Time(f.Max + 1); next.Truncate(interval).Equal(to.Truncate(interval)) && !next.IsZero() {
			t.Errorf("%s ends at %s, and %s belongs to it", f, to, next)
		}
	}
}

// T1: a copied bucket, where every object was stored at the same moment, is merged by the times in the headers.
func TestT1_CopiedBucket(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.live(10*time.Minute, 2*time.Second)
	w.now = w.now.Add(10 * time.Minute)
	want, err := newCompactor(t, w.store, w.options()).Plan(t.Context())
	must(t, err)
	copied := &memstore.Store{Now: func() time.Time { return w.now }}
	for _, o := range w.store.Objects() {
		_, err := copied.Put(t.Context(), o.Key, bytes.NewReader(o.Data), objstore.PutOptions{})
		must(t, err)
	}
	metered := objstore.NewMetrics(copied)
	got, err := newCompactor(t, metered, w.options()).Plan(t.Context())
	must(t, err)
	if a, b := stepNames(want), stepNames(got); !slices.Equal(a, b) || len(a) < 20 {
		t.Errorf("of the copy: %v\nof the original: %v", b, a)
	}
	if s := metered.Stats(); s.Gets > 200 {
		t.Errorf("%d headers for %d files", s.Gets, got.Files)
	}
}

func stepNames(p *Plan) []string {
	var all []string
	for i := range p.Steps {
		f := p.Steps[i].file()
		all = append(all, f.String())
	}
	return all
}

// A whole database is not copied from level to level.
func TestPlan_WholeIsNotCopiedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	w.now = w.now.Add(time.Hour)
	if p, err := newCompactor(t, w.store, w.options()).Plan(t.Context()); err != nil || !p.Idle() {
		t.Errorf("one file that holds all there is: %v, %v", p, err)
	}
	w.write()
	w.live(30*time.Minute, 10*time.Second)
	w.now = w.now.Add(2 * time.Hour)
	w.once()
	whole := 0
	for _, f := range w.files() {
		if f.Min == 1 && f.Level > 0 {
			whole++
		}
	}
	if whole != 1 {
		t.Errorf("%d files above level 0 hold the whole database: %v", whole, names(w.files()))
	}
	w.checkImages(9)
	// Without snapshots the first merged file takes it in, and those above do not.
	opts := w.options()
	opts.SnapshotInterval = -1
	w = newWorld(t, 3)
	w.live(30*time.Minute, 10*time.Second)
	w.now = w.now.Add(2 * time.Hour)
	opts.Now = func() time.Time { return w.now }
	_, err := newCompactor(t, w.store, opts).Once(t.Context())
	must(t, err)
	if one, two := level(w.files(), 1), level(w.files(), 2); one[0].Min != 1 || two[0].Min == 1 {
		t.Errorf("level 1 begins with %s, level 2 with %s", &one[0], &two[0])
	}
	w.checkImages(9)
}

// A plan is JSON and text, and says the same of what will be done.
func TestPlan_Printed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4)
	w.live(10*time.Minute, 3*time.Second)
	p, err := newCompactor(t, w.store, w.options()).Plan(t.Context())
	must(t, err)
	before := w.store.Keys()
	data, err := json.Marshal(p)
	must(t, err)
	var back Plan
	must(t, json.Unmarshal(data, &back))
	text := p.String()
	if len(back.Steps) != len(p.Steps) || len(p.Steps) < 10 || strings.Count(text, "make ") != len(p.Steps) ||
		!strings.Contains(text, "$0.0") || back.Cost.USD <= 0 || back.Steps[0].Inputs[0].Min != 1 {
		t.Errorf("JSON %.500s\ntext %.500s", data, text)
	}
	if !slices.Equal(before, w.store.Keys()) {
		t.Error("a plan changed the bucket")
	}
	r, err := newCompactor(t, w.store, w.options()).Run(t.Context(), p)
	must(t, err)
	if len(r.Made) != len(p.Steps) || r.Cost.Puts > p.Cost.Puts+2 || r.Cost.Gets > 2*p.Cost.Gets {
		t.Errorf("planned %d files for %+v, made %d for %+v", len(p.Steps), p.Cost, len(r.Made), r.Cost)
	}
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
}

// The same plan twice, and a plan of before after another run: nothing breaks.
func TestRun_Twice(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 5)
	w.live(10*time.Minute, 3*time.Second)
	c := newCompactor(t, w.store, w.options())
	p, err := c.Plan(t.Context())
	must(t, err)
	first, err := c.Run(t.Context(), p)
	must(t, err)
	after := w.store.Keys()
	second, err := c.Run(t.Context(), p)
	must(t, err)
	for i, m := range second.Made {
		if !m.Existed || m.Bytes != first.Made[i].Bytes {
			t.Errorf("the second time %+v, the first %+v", m, first.Made[i])
		}
	}
	if !slices.Equal(after, w.store.Keys()) {
		t.Error("the second run changed the bucket")
	}
	if p, err := c.Plan(t.Context()); err != nil || !p.Idle() {
		t.Errorf("after two runs: %v, %v", p, err)
	}
}

// A writer whose clock is hours ahead is compacted all the same, a little later.
func TestPlan_ClockAhead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 6)
	w.live(5*time.Minute, 2*time.Second)
	last := w.now
	opts := w.options()
	behind := func(d time.Duration) *Plan {
		opts.Now = func() time.Time { return last.Add(-3 * time.Hour).Add(d) }
		store := &memstore.Store{Now: func() time.Time { return last.Add(-3 * time.Hour) }}
		for _, o := range w.store.Objects() {
			_, err := store.Put(t.Context(), o.Key, bytes.NewReader(o.Data), objstore.PutOptions{})
			must(t, err)
		}
		p, err := newCompactor(t, store, opts).Plan(t.Context())
		must(t, err)
		return p
	}
	if p := behind(time.Minute); len(p.Steps) < 5 {
		t.Errorf("a minute later: %v", p)
	}
}

// A snapshot on demand, and a second one that has nothing to add.
func TestPlanSnapshot(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 7)
	w.live(5*time.Minute, 2*time.Second)
	c := newCompactor(t, w.store, w.options())
	p, err := c.PlanSnapshot(t.Context())
	must(t, err)
	_, err = c.Run(t.Context(), p)
	must(t, err)
	f := newestOf(w.files(), index.SnapshotLevel)
	if f == nil || f.Max != w.p.TXID || f.Min != 1 || len(p.Steps) != 1 {
		t.Fatalf("the newest snapshot is %v; plan %v", f, p)
	}
	for _, o := range w.store.Objects() {
		if o.Key == f.Key() && !o.Timestamp.Equal(w.p.Time(f.Max)) {
			t.Errorf("its timestamp is %s, the state's %s", o.Timestamp, w.p.Time(f.Max))
		}
	}
	w.checkImages(5)
	if p, err := c.PlanSnapshot(t.Context()); err != nil || !p.Idle() {
		t.Errorf("again: %v, %v", p, err)
	}
}

// Nothing is there, or nothing that is a replica.
func TestPlan_NoReplica(t *testing.T) {
	t.Parallel()
	store := new(memstore.Store)
	if _, err := newCompactor(t, store, Options{}).Plan(t.Context()); !errors.Is(err, index.ErrNoReplica) {
		t.Errorf("got %v", err)
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string]Options{
		"no levels":        {Levels: []time.Duration{}},
		"too many levels":  {Levels: []time.Duration{1e9, 2e9, 4e9, 8e9, 16e9, 32e9, 64e9, 128e9, 256e9}},
		"no multiple":      {Levels: []time.Duration{30 * time.Second, 45 * time.Second}},
		"descending":       {Levels: []time.Duration{30 * time.Second, 10 * time.Second}},
		"too short":        {Levels: []time.Duration{time.Millisecond}},
		"negative grace":   {Grace: -1},
		"negative l0":      {L0Retention: -1},
		"negative settled": {Settle: -1},
	} {
		if _, err := New(new(memstore.Store), opts); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if _, err := New(new(memstore.Store), Options{}); err != nil {
		t.Error(err)
	}
}

// A listing of many pages of results is one listing.
func TestPlan_ManyPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 8)
	w.live(3*time.Minute, 2*time.Second)
	w.store.PageSize = 7
	w.once()
	w.checkImages(5)
	if err := context.Cause(t.Context()); err != nil {
		t.Fatal(err)
	}
}
