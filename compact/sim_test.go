package compact

import (
	"fmt"
	"testing"
	"time"

	"github.com/litefs-s3/litefs-s3/index"
)

// Simulated hours of a writer and a compactor that comes when it likes: every promise of retention holds after every run, what
// can be opened is what the primary had, and the number of objects stays small.
func TestSim_PromisesHold(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, seed)
			opts := w.options()
			opts.Levels = []time.Duration{10 * time.Second, time.Minute, 10 * time.Minute}
			opts.SnapshotInterval, opts.Retention = 15*time.Minute, 20*time.Minute
			opts.L0Retention, opts.Grace, opts.Settle = 90*time.Second, 20*time.Second, time.Second
			deleted, most, runs := 0, 0, 0
			for w.now.Before(start.Add(45 * time.Minute)) {
				pause := time.Duration(w.rnd.IntN(40)) * time.Second
				if w.rnd.IntN(15) == 0 {
					pause = 15 * time.Minute // the compactor was away
				}
				w.live(pause, 5*time.Second)
				before := w.openable()
				r, err := newCompactor(t, w.store, opts).Once(t.Context())
				must(t, err)
				deleted += len(r.Deleted)
				most = max(most, len(w.files()))
				checkPromises(t, w, opts, before, w.openable())
				if runs++; runs%8 == 0 {
					w.checkImages(60)
				}
			}
			w.checkImages(6)
			if deleted < 200 || most > 900 {
				t.Errorf("%d files were removed, and up to %d there at once", deleted, most)
			}
			t.Logf("%d transactions, %d files removed, at most %d there, %d now", w.p.TXID, deleted, most, len(w.files()))
		})
	}
}

func (w *world) openable() map[index.TXID]bool {
	all := map[index.TXID]bool{}
	for _, txid := range index.NewChains(w.files()).TXIDs() {
		all[txid] = true
	}
	return all
}

// checkPromises compares what could be opened before a run with what can be after it.
func checkPromises(t *testing.T, w *world, opts Options, before, after map[index.TXID]bool) {
	t.Helper()
	last := map[int64]index.TXID{} // by window, of what could be opened before
	for txid := range before {
		age := w.now.Sub(w.p.Time(txid))
		if age <= opts.L0Retention && !after[txid] {
			t.Fatalf("txid %s of %s ago cannot be opened any more", txid, age)
		}
		if age <= opts.Retention {
			window := w.p.Time(txid).Truncate(opts.Levels[0]).Unix()
			last[window] = max(last[window], txid)
		}
	}
	for window, txid := range last {
		if !after[txid] {
			t.Fatalf("txid %s, the last of the window of %s, cannot be opened any more", txid, time.Unix(window, 0).UTC())
		}
	}
	// The state at the beginning of the window of retention.
	var oldest index.TXID
	for txid := range after {
		if oldest == 0 || txid < oldest {
			oldest = txid
		}
	}
	if at := w.p.Time(oldest); w.now.Sub(at) < opts.Retention && oldest > 1 {
		t.Fatalf("the oldest moment is %s ago", w.now.Sub(at))
	}
}
