package history

import (
	"errors"
	"testing"
	"time"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/integration/primary"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/faultstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

// newReplica returns a replica of 40 transactions a minute apart, some of them merged, and its timeline through store.
func newReplica(t *testing.T, store objstore.Store) (*primary.Primary, *index.Timeline) {
	now := time.UnixMilli(1_700_000_000_000)
	p := primary.New(t, store, primary.Options{PageSize: 1024, Now: func() time.Time { return now }})
	p.Exec(`CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)`)
	for range 40 {
		p.Exec(`INSERT INTO t(v) VALUES (hex(randomblob(400)))`)
		p.Sync()
		now = now.Add(time.Minute)
	}
	p.Compact(1, 1, 10)
	p.Compact(1, 11, 20)
	p.Expire(0, 20)
	p.Snapshot()
	tr, err := index.Open(t.Context(), store, index.Options{PollInterval: -1})
	must(t, err)
	tl, err := tr.Timeline(t.Context())
	must(t, err)
	return p, tl
}

// The transactions come newest first, each with its time and the TXIDs that are merged into it.
func TestAll(t *testing.T) {
	t.Parallel()
	mem := new(memstore.Store)
	p, tl := newReplica(t, mem)
	at := p.Time(35)
	for _, tc := range []struct {
		name        string
		window      Window
		first, last index.TXID // newest and oldest that come
		n           int
	}{
		{"all", Window{}, 40, 10, 22},
		{"the newest three", Window{Limit: 3}, 40, 38, 3},
		{"since a time", Window{Since: at}, 40, 35, 6},
		{"until a time", Window{Until: at}, 35, 10, 17},
		{"between times", Window{Since: p.Time(33), Until: at.Add(time.Second)}, 35, 33, 3},
		{"between transactions", Window{From: 11, To: 22}, 22, 20, 3},
		{"before and limited", Window{Until: at, Limit: 2}, 35, 34, 2},
		{"nothing there", Window{From: 50}, 0, 0, 0},
		{"a time to come", Window{Since: at.Add(time.Hour)}, 0, 0, 0},
	} {
		var got []Transaction
		for tx, err := range All(t.Context(), mem, tl, tc.window) {
			must(t, err)
			got = append(got, tx)
		}
		if len(got) != tc.n || tc.n > 0 && (got[0].TXID != tc.first || got[tc.n-1].TXID != tc.last) {
			t.Errorf("%s: %d transactions: %+v", tc.name, len(got), got)
			continue
		}
		for i, tx := range got {
			first := tx.TXID
			if tx.TXID <= 20 {
				first = tx.TXID - 9
			}
			if i > 0 && got[i-1].TXID <= tx.TXID || !tx.Time.Equal(p.Time(tx.TXID)) || tx.First != first ||
				int(tx.Commit)*1024 != len(p.Image(tx.TXID)) || tx.Pages == 0 || tx.Bytes == 0 {
				t.Errorf("%s: %+v", tc.name, tx)
			}
			pages := 0
			for range tx.Pgnos() {
				pages++
			}
			if pages != tx.Pages {
				t.Errorf("%s: %d pages of %d", tc.name, pages, tx.Pages)
			}
		}
	}
}

// It asks for one file for each transaction, and for few that nobody wanted.
func TestAll_Requests(t *testing.T) {
	t.Parallel()
	count := objstore.NewMetrics(new(memstore.Store))
	_, tl := newReplica(t, count)
	before := count.Stats()
	for _, err := range All(t.Context(), count, tl, Window{Limit: 5}) {
		must(t, err)
	}
	if n := count.Stats().Sub(before).Requests(); n != 5 {
		t.Errorf("%d requests for 5 transactions", n)
	}
	before = count.Stats()
	for range All(t.Context(), count, tl, Window{}) {
		break
	}
	if s := count.Stats(); s.Sub(before).Requests() > ahead || s.InFlight != 0 {
		t.Errorf("%d requests for the first one, %d under way afterwards", s.Sub(before).Requests(), s.InFlight)
	}
}

// Each request failing in turn is an error, and the end; a file that is gone says to list again.
func TestAll_EveryFault(t *testing.T) {
	t.Parallel()
	mem := new(memstore.Store)
	_, tl := newReplica(t, mem)
	for n := int64(0); ; n++ {
		fault := faultstore.FailNth(n)
		var last error
		for _, err := range All(t.Context(), fault.Wrap(mem), tl, Window{}) {
			if last != nil {
				t.Fatal("it went on after an error")
			}
			last = err
		}
		if !fault.Fired() {
			must(t, last)
			break
		}
		if !errors.Is(last, faultstore.ErrInjected) {
			t.Fatalf("call %d: %v", n, last)
		}
	}
	must(t, mem.Delete(t.Context(), mem.Keys()...))
	for _, err := range All(t.Context(), mem, tl, Window{}) {
		if !errors.Is(err, index.ErrViewExpired) {
			t.Errorf("gone: %v", err)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
