package index

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/faultstore"
)

// follower is a Tracker that Run runs, on a store whose requests are counted and take 25 ms.
type follower struct {
	*Tracker
	model  *model
	counts *objstore.Metrics
}

func newFollower(t *testing.T, m *model, interval time.Duration) *follower {
	f := &follower{model: m, counts: objstore.NewMetrics(faultstore.Wrap(m.store, func(context.Context, faultstore.Call) faultstore.Action {
		return faultstore.Action{Delay: 25 * time.Millisecond}
	}))}
	tr, err := Open(t.Context(), f.counts, Options{PollInterval: interval})
	if err != nil {
		t.Fatal(err)
	}
	f.Tracker = tr
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { tr.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	return f
}

// idle lets time pass in which nobody writes. With a reader it is polled for all the time.
func (f *follower) idle(d time.Duration, reader bool) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		time.Sleep(min(4*time.Minute, time.Until(end)))
		if reader {
			f.Wake()
		}
	}
}

// stands is how long the head stays below txid, an hour at most.
func (f *follower) stands(txid TXID, reader bool) time.Duration {
	began := time.Now()
	for f.View().TXID < txid && time.Since(began) < time.Hour {
		time.Sleep(250 * time.Millisecond)
		if reader && time.Since(began)%(4*time.Minute) == 0 {
			f.Wake()
		}
	}
	return time.Since(began)
}

// commitUnseen makes transactions whose files are merged, and removed but for the newest of level 0 when it stays, before anybody looks.
func (m *model) commitUnseen(n int, newestStays bool) TXID {
	for range n {
		m.commit(9, 2)
	}
	m.merge(1, m.files(0)...)
	files := m.files(0)
	if newestStays {
		files = files[:len(files)-1]
	}
	for _, f := range files {
		m.remove(f)
	}
	return m.head().txid
}

// Transactions whose level 0 files came and went between two polls, and after which nobody writes, are seen within about a minute. Where nothing tells that they came, because the head's own file is not there either, it is as soon as a dollar a month allows.
func TestCertain_CameAndWentUnseen(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name        string
		n           int
		newestStays bool // as with Litestream's retention and ours
		alone       bool // the head has no file of level 0
		reader      bool
		within      time.Duration
	}{
		{"several, and the newest stays", 3, true, false, true, certainEvery},
		{"the same at rest", 3, true, false, false, certainEvery},
		{"a single one", 1, false, false, true, certainEvery},
		{"the same at rest", 1, false, false, false, certainEvery},
		{"the head is alone", 1, false, true, true, listAlone},
		{"the same at rest", 1, false, true, false, listAloneRested},
	} {
		for _, idle := range []time.Duration{90 * time.Second, 7*time.Minute + 700*time.Millisecond, 3*time.Hour + 100*time.Millisecond} {
			synctest.Test(t, func(t *testing.T) {
				m := newTestModel(t)
				m.commit(9)
				m.commit(9, 3)
				if test.alone {
					m.commitUnseen(1, false)
				}
				f := newFollower(t, m, time.Second)
				f.idle(idle, test.reader)
				if c := time.Since(f.State().Certain); c > test.within+10*time.Second {
					t.Errorf("%s, idle for %v: certain as of %v ago", test.name, idle, c)
				}
				txid := m.commitUnseen(test.n, test.newestStays)
				within := test.within
				if test.alone && idle < restAfter {
					within = listAlone // not at rest yet
				}
				lists := f.counts.Stats().Lists
				took := f.stands(txid, test.reader)
				if took > within+10*time.Second { // a poll at rest is 8 s after the one before
					t.Errorf("%s, idle for %v: stood for %v", test.name, idle, took)
				}
				if n := f.counts.Stats().Lists - lists; n > 2 && !test.alone { // the second when no file is left that was known
					t.Errorf("%s, idle for %v: %d listings", test.name, idle, n)
				}
				agree(t, newWitness(m.store, m), f.Tracker, f.View())
			})
		}
	}
}

// frozen is a store whose answers are heard after meanwhile, when that is set: the process was stopped in between.
type frozen struct {
	Reader
	meanwhile func()
}

func (s *frozen) ReadPrefix(ctx context.Context, ref objstore.Ref, n int64) (objstore.Part, error) {
	part, err := s.Reader.ReadPrefix(ctx, ref, n)
	if s.meanwhile != nil {
		s.meanwhile()
	}
	return part, err
}

// A process that is stopped after it has asked and before it hears the answer takes that for what it is, old, and lists.
func TestCertain_StoppedInsideAPoll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newTestModel(t)
		m.commit(9)
		m.commit(9, 3)
		store := &frozen{Reader: m.store}
		tr := mustOpen(t, store)
		mustPoll(t, tr)
		began := time.Now()
		var txid TXID
		store.meanwhile = func() {
			time.Sleep(time.Second)
			txid = m.commitUnseen(1, false)
			time.Sleep(pollGap)
		}
		mustPoll(t, tr)
		store.meanwhile = nil
		if s := tr.State(); s.LastGood.After(began) || s.Certain.After(began) {
			t.Errorf("what was so when it was stopped is taken for news: %+v", s)
		}
		time.Sleep(time.Second)
		if v := mustPoll(t, tr); v.TXID != txid {
			t.Errorf("at %s, want %s", v.TXID, txid)
		}
	})
}

// Another replica in place of ours, whose next file does not come, is found within the minute as well: by the head's file, which has changed or gone.
func TestCertain_Replaced(t *testing.T) {
	t.Parallel()
	for _, longer := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			m := newTestModel(t)
			m.commit(9)
			m.commit(9, 3)
			f := newFollower(t, m, time.Second)
			f.idle(10*time.Minute, true)
			m.wipe()
			other := newModel(m.store, 2, 2, 512, func(err error) { t.Fatal(err) })
			other.commit(7)
			if longer {
				other.commit(7, 2)
			}
			time.Sleep(certainEvery + 4*time.Second)
			if f.State().Histories == 0 || f.View().TXID != other.head().txid {
				t.Errorf("longer %v: at %s of history %d", longer, f.View().TXID, f.State().Histories)
			}
		})
	}
}

// What following costs while nobody writes, at 25 ms a request: at most 1.1 dollars a month with a poll each second, and the listings are never what costs.
func TestCertain_Costs(t *testing.T) {
	t.Parallel()
	const priceGet, priceList, month = 0.4e-6, 5e-6, 730 // dollars, dollars, hours
	for _, test := range []struct {
		interval      time.Duration
		reader, alone bool
		dollars       float64
	}{
		{time.Second, true, false, 1.1},
		{time.Second, true, true, 1.1},
		{time.Second, false, false, 0.2},
		{time.Second, false, true, 0.36},
		{2 * time.Second, false, false, 0.13}, // less than half of what polls at that interval cost
		{5 * time.Second, false, false, 0.10},
		{10 * time.Second, false, false, 0.09},
		{10 * time.Second, true, false, 0.17},
	} {
		name := fmt.Sprintf("every %v, read %v, alone %v", test.interval, test.reader, test.alone)
		synctest.Test(t, func(t *testing.T) {
			m := newTestModel(t)
			m.commit(9)
			m.commit(9, 3)
			if test.alone {
				m.commitUnseen(1, false)
			}
			f := newFollower(t, m, test.interval)
			f.idle(time.Hour, test.reader)
			before := f.counts.Stats()
			f.idle(time.Hour, test.reader)
			got := f.counts.Stats().Sub(before)
			dollars := month * (float64(got.Gets)*priceGet + float64(got.Lists)*priceList)
			t.Logf("%s: %d GET, %d LIST an hour, %.3f dollars a month", name, got.Gets, got.Lists, dollars)
			if dollars > test.dollars {
				t.Errorf("%s: %.3f dollars a month, want %.2f", name, dollars, test.dollars)
			}
		})
	}
}

// What following costs while somebody writes each second: a GET for the file and one for that after it, and for a file that does not continue
// a write-ahead log, as those of our own writer, a small one for the head's; a listing a minute.
func TestFollow_RequestsOfABusyReplica(t *testing.T) {
	t.Parallel()
	for _, ours := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			m := newTestModel(t)
			m.ours = ours
			m.commit(9)
			f := newFollower(t, m, time.Second)
			const minutes = 20
			for range minutes {
				for range 60 {
					m.commit(9, 2)
					time.Sleep(time.Second)
				}
				m.compact(1, 60)
				m.expireL0(5 * time.Minute)
			}
			each := int64(2)
			if ours {
				each = 3
			}
			if got := f.counts.Stats(); got.Gets > each*60*minutes || got.Gets < (each*60-10)*minutes || got.Lists > minutes+2 {
				t.Errorf("ours %v: %d GET and %d LIST for %d transactions", ours, got.Gets, got.Lists, 60*minutes)
			}
		})
	}
}
