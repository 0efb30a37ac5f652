package index

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

// past is what a local copy keeps of a View.
type past struct {
	txid  TXID
	files []File
}

func pastOf(tr *Tracker) past {
	return past{tr.View().TXID, append(tr.View().table.Load().files(), tr.Landmarks()...)}
}

// TestSince_TellsEveryChange asks a follower of a random replica, which merges and expires files, what has changed since
// each of its earlier Views.
func TestSince_TellsEveryChange(t *testing.T) {
	told, kept := 0, 0
	for seed := range uint64(30 * *moreSeeds) {
		synctest.Test(t, func(t *testing.T) {
			s := newSim(t, 1000+seed, seed%3 == 0, false)
			for s.m.head().commit == 0 {
				s.move()
			}
			tr := mustOpen(t, s.store)
			var pasts []past
			for range 60 {
				s.move()
				time.Sleep(time.Duration(s.rng.IntN(20)) * time.Second)
				if tr.Refresh(t.Context()) != nil {
					continue
				}
				pasts = append(pasts, pastOf(tr))
				p := pasts[s.rng.IntN(len(pasts))]
				head := tr.View()
				changed, ok, err := tr.Since(t.Context(), head, p.txid, p.files)
				if err != nil {
					t.Fatal(err)
				}
				if !ok {
					continue
				}
				told++
				set := slices.Collect(changed)
				was, is := s.m.states[p.txid], s.m.states[head.TXID]
				for pgno, c := range is.pages {
					before, there := was.pages[pgno]
					switch {
					case there && before == c:
						kept++
					case !slices.Contains(set, pgno):
						t.Fatalf("seed %d: page %d changed between %s and %s and is not told", seed, pgno, p.txid, head.TXID)
					}
				}
			}
		})
	}
	if told < 200 || kept < 200 {
		t.Errorf("%d answers, %d pages that did not change: the test looks at nothing", told, kept)
	}
}

// TestSince_Exactly tells no more than files hold, also when the head was merged into another base.
func TestSince_Exactly(t *testing.T) {
	m := newTestModel(t)
	m.commit(40)
	m.snapshot()
	m.commit(40, 3)
	before := pastOf(mustOpen(t, m.store))
	m.commit(40, 7, 9)
	m.commit(41, 9)
	check := func(wantLists int64, want ...uint32) {
		t.Helper()
		store := objstore.NewMetrics(m.store)
		tr := mustOpen(t, store)
		opened := store.Stats().Lists
		changed, ok, err := tr.Since(t.Context(), tr.View(), before.txid, before.files)
		if !ok || err != nil {
			t.Fatal(ok, err)
		}
		if got := slices.Compact(slices.Sorted(changed)); !slices.Equal(got, want) {
			t.Errorf("changed: %v, want %v", got, want)
		}
		if got := store.Stats().Lists - opened; got != wantLists {
			t.Errorf("%d listings, want %d", got, wantLists)
		}
	}
	check(0, 7, 9, 41)
	m.snapshot() // the newest base holds all of it: the files between tell
	check(1, 7, 9, 41)
}

// TestSince_AnotherHistory does not mix histories.
func TestSince_AnotherHistory(t *testing.T) {
	a := newTestModel(t)
	a.commit(10)
	a.commit(10, 3)
	before := pastOf(mustOpen(t, a.store))

	b := newModel(new(memstore.Store), 7, 2, 512, func(err error) { t.Fatal(err) })
	b.commit(10)
	b.commit(10, 4)
	b.commit(10, 5)
	tr := mustOpen(t, b.store)
	if _, ok, err := tr.Since(t.Context(), tr.View(), before.txid, before.files); ok || err != nil {
		t.Errorf("another history was taken for the same: %v, %v", ok, err)
	}
}
