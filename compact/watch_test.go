package compact

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/faultstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

// Beside a writer that uploads as time goes by, every interval becomes a file three seconds after its end, with one listing for each
// interval; level 0 shrinks behind it; a store that is away for two minutes only delays things.
func TestWatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 31)
	w.live(20*time.Minute, 3*time.Second)
	uploads := w.store.Objects()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		now := func() time.Time { return start.Add(time.Since(began)) }
		store := &memstore.Store{Now: now}
		away := faultstore.Wrap(store, faultstore.Before(func(string, string) error {
			if at := time.Since(began); at > 8*time.Minute && at < 10*time.Minute {
				return objstore.ErrTemporary
			}
			return nil
		}))
		metered := objstore.NewMetrics(away)
		var log bytes.Buffer
		c := newCompactor(t, metered, Options{Now: now, TempDir: w.t.TempDir(), Log: slog.New(slog.NewTextHandler(&log, nil))})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { c.Watch(ctx) })
		for _, o := range uploads {
			time.Sleep(o.Timestamp.Sub(now()))
			_, err := store.Put(t.Context(), o.Key, bytes.NewReader(o.Data), objstore.PutOptions{Timestamp: o.Timestamp})
			must(t, err)
		}
		time.Sleep(40 * time.Second)
		cancel()
		wg.Wait()

		files := filesOf(t, store)
		one := level(files, 1)
		for i := range one {
			if from, to := w.p.Time(one[i].Min), w.p.Time(one[i].Max); !from.Truncate(30 * time.Second).Equal(to.Truncate(30 * time.Second)) {
				t.Errorf("%s goes from %s to %s", &one[i], from, to)
			}
			late := one[i].Modified.Sub(w.p.Time(one[i].Max).Truncate(30 * time.Second).Add(30 * time.Second))
			if late != 3*time.Second && one[i].Modified.Before(start.Add(8*time.Minute)) {
				t.Errorf("%s was made %s after its interval", &one[i], late)
			}
		}
		if len(one) < 38 || one[len(one)-1].Max != w.p.TXID {
			t.Errorf("level 1: %v", names(one))
		}
		if n := len(level(files, 0)); n > 150 || n < 90 {
			t.Errorf("level 0 has %d files, of five minutes and some", n)
		}
		if s := metered.Stats(); s.Lists > 42*3 {
			t.Errorf("%d listings in 21 minutes", s.Lists)
		}
		if n := strings.Count(log.String(), "level=WARN"); n != 4 {
			t.Errorf("%d warnings, want one for each of the four intervals without a store:\n%s", n, log.String())
		}
		chains := index.NewChains(files)
		image, err := restore(store, chains, chains.Head())
		if err != nil || !bytes.Equal(image, w.p.Image(w.p.TXID)) {
			t.Errorf("restored: %v", err)
		}
	})
}

// Before the writer has begun there is nothing to say; and a watch ends with its context.
func TestWatch_NothingYet(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		c := newCompactor(t, new(memstore.Store), Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		c.Watch(ctx)
		if log.Len() > 0 {
			t.Errorf("logged %s", log.String())
		}
	})
}

// Two that write the record at once do not lose what the other one wrote.
func TestLedger_Race(t *testing.T) {
	t.Parallel()
	store := new(memstore.Store)
	var wg sync.WaitGroup
	for i := range 4 {
		c := newCompactor(t, store, Options{})
		wg.Go(func() { c.record(context.Background(), func(l *ledger) { l.wrote(i+1, 100) }) })
	}
	wg.Wait()
	l, err := newCompactor(t, store, Options{}).ledger(t.Context())
	must(t, err)
	for i := range 4 {
		if l.Levels[i+1].Wrote != 100 {
			t.Errorf("level %d is lost: %+v", i+1, l.Levels)
		}
	}
}

// What was read back is remembered by stretches without a hole; of snapshots, each for itself.
func TestLedger_Checked(t *testing.T) {
	t.Parallel()
	l := &ledger{Levels: map[int]ledgerMark{}}
	for _, f := range []index.File{{Level: 1, Min: 1, Max: 9}, {Level: 1, Min: 10, Max: 20}, {Level: 1, Min: 31, Max: 40}, {Level: 9, Min: 1, Max: 20}, {Level: 9, Min: 1, Max: 40}} {
		l.addChecked(&f)
	}
	for _, tc := range []struct {
		f    index.File
		want bool
	}{
		{index.File{Level: 1, Min: 1, Max: 9}, true},
		{index.File{Level: 1, Min: 10, Max: 20}, true},
		{index.File{Level: 1, Min: 21, Max: 30}, false},
		{index.File{Level: 1, Min: 20, Max: 31}, false},
		{index.File{Level: 2, Min: 1, Max: 9}, false},
		{index.File{Level: 9, Min: 1, Max: 20}, true},
		{index.File{Level: 9, Min: 1, Max: 30}, false},
	} {
		if got := l.isChecked(&tc.f); got != tc.want {
			t.Errorf("%s: %v", &tc.f, got)
		}
	}
	for i := range index.TXID(100) {
		l.addChecked(&index.File{Level: 2, Min: 10*i + 1, Max: 10*i + 5})
	}
	if n := len(l.Levels[2].Checked); n != maxSpans || !l.isChecked(&index.File{Level: 2, Min: 991, Max: 995}) {
		t.Errorf("%d spans", n)
	}
	if !slices.IsSortedFunc(l.Levels[2].Checked, func(a, b checkedSpan) int { return int(a.Min) - int(b.Min) }) {
		t.Error("spans are out of order")
	}
}
