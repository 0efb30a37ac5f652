package pitr_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/superfly/ltx"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
	"github.com/litefs-s3/litefs-s3/pitr"
)

// history is two days in the life of a replica as Litestream's defaults leave it: snapshots at midnight, L3 by the hour, L2 by five
// minutes, L1 by 30 seconds for the last day, L0 for the last five minutes.
type history struct {
	store *memstore.Store
	times []time.Time         // of TXID 1, 2, …: the oracle's log
	kept  map[index.TXID]bool // moments that some file ends at
	begin index.TXID          // first moment that can be opened
}

const (
	historyLength = 48 * time.Hour
	pageSize      = 512
)

var historyEnd = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// newHistory writes the replica. Its one page changes in every transaction; transactions come in bursts with pauses between.
func newHistory(t *testing.T, rng *rand.Rand) *history {
	h := &history{store: new(memstore.Store), kept: map[index.TXID]bool{}}
	for at := historyEnd.Add(-historyLength); at.Before(historyEnd); {
		h.times = append(h.times, at.Truncate(time.Millisecond))
		gap := time.Duration(1+rng.IntN(20)) * time.Second
		if rng.IntN(200) == 0 {
			gap = time.Duration(rng.IntN(90)) * time.Minute
		}
		at = at.Add(gap + time.Duration(rng.IntN(1000))*time.Millisecond)
	}
	last := index.TXID(len(h.times))
	snapshot := h.before(historyEnd.Truncate(24 * time.Hour)) // the newest one; the one before has expired with all below it
	h.begin = snapshot
	taken := historyEnd.Truncate(24 * time.Hour)
	h.put(t, 9, 1, snapshot, taken)
	h.times[snapshot-1] = taken
	h.merge(t, 3, time.Hour, taken, last)
	h.merge(t, 2, 5*time.Minute, taken, last)
	h.merge(t, 1, 30*time.Second, taken, last)
	for txid := h.before(historyEnd.Add(-5 * time.Minute)); txid <= last; txid++ {
		h.put(t, 0, max(txid, 1), max(txid, 1), h.times[max(txid, 1)-1])
	}
	return h
}

// before is the last TXID at or before a time; 0 when there is none.
func (h *history) before(at time.Time) index.TXID {
	n := index.TXID(0)
	for i, t := range h.times {
		if !t.After(at) {
			n = index.TXID(i + 1)
		}
	}
	return n
}

// merge writes the files of a level, one for each interval from a time on.
func (h *history) merge(t *testing.T, level int, interval time.Duration, from time.Time, last index.TXID) {
	first := h.before(from) + 1
	for edge := from.Truncate(interval).Add(interval); !edge.After(historyEnd); edge = edge.Add(interval) {
		end := min(h.before(edge), last)
		if end >= first {
			h.put(t, level, first, end, h.times[end-1])
			first = end + 1
		}
	}
}

func (h *history) put(t *testing.T, level int, lo, hi index.TXID, stamp time.Time) {
	t.Helper()
	var buf bytes.Buffer
	enc, err := ltx.NewEncoder(&buf)
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(
		enc.EncodeHeader(ltx.Header{Version: ltx.Version, Flags: ltx.HeaderFlagNoChecksum, PageSize: pageSize, Commit: 1,
			MinTXID: lo, MaxTXID: hi, Timestamp: stamp.UnixMilli(), WALOffset: 32}),
		enc.EncodePage(ltx.PageHeader{Pgno: 1}, bytes.Repeat([]byte{byte(hi)}, pageSize)),
		enc.Close(),
	)
	if err != nil {
		t.Fatal(err)
	}
	f := index.File{Level: level, Min: lo, Max: hi}
	if _, err := h.store.Put(t.Context(), f.Key(), bytes.NewReader(buf.Bytes()), objstore.PutOptions{Timestamp: stamp}); err != nil {
		t.Fatal(err)
	}
	h.kept[hi] = true
}

// want is the last moment kept at or before a time; 0 when there is none.
func (h *history) want(at time.Time) index.TXID {
	for txid := h.before(at); txid > 0; txid-- {
		if h.kept[txid] {
			return txid
		}
	}
	return 0
}

// TestT1_TimesComeFromHeaders: 300 random instants in a bucket whose objects were all copied, so that their modification times say nothing:
// each gives the transaction that the oracle's log gives, or an error with the bounds, in few requests.
func TestT1_TimesComeFromHeaders(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seed, seed))
			h := newHistory(t, rng)
			metrics := objstore.NewMetrics(h.store)
			tracker, err := index.Open(t.Context(), metrics, index.Options{PollInterval: -1})
			if err != nil {
				t.Fatal(err)
			}
			worst, total := int64(0), int64(0)
			for range 100 {
				at := historyEnd.Add(-time.Duration(rng.Int64N(int64(historyLength + time.Hour))))
				before := metrics.Stats()
				timeline, err := tracker.Timeline(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				got, err := pitr.Locate(t.Context(), timeline, at)
				requests := metrics.Stats().Sub(before).Requests()
				worst, total = max(worst, requests), total+requests
				want := h.want(at)
				if want < h.begin {
					var window *pitr.WindowError
					if !errors.As(err, &window) || window.First.After(historyEnd) || window.Last.Before(window.First) {
						t.Fatalf("%v lies before the replica: got %v, %v", at, got, err)
					}
					continue
				}
				if err != nil || got != want {
					t.Fatalf("%v is txid %v, error %v; want %v", at, got, err, want)
				}
			}
			t.Logf("%d transactions; requests to locate a time: %d at worst, %.1f on average", len(h.times), worst, float64(total)/100)
			if worst > 12 {
				t.Errorf("%d requests to locate one time", worst)
			}
		})
	}
}

// TestLocate_Edges: exact instants, between transactions, and beyond the last one.
func TestLocate_Edges(t *testing.T) {
	t.Parallel()
	h := newHistory(t, rand.New(rand.NewPCG(7, 7)))
	tracker, err := index.Open(t.Context(), h.store, index.Options{PollInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	timeline, err := tracker.Timeline(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	last := index.TXID(len(h.times))
	for name, c := range map[string]struct {
		at   time.Time
		want index.TXID
	}{
		"the instant of the last transaction": {h.times[last-1], last},
		"a millisecond before it":             {h.times[last-1].Add(-time.Millisecond), last - 1},
		"after the last one":                  {historyEnd.Add(time.Hour), last},
		"the instant of the third last":       {h.times[last-3], last - 2},
	} {
		if got, err := pitr.Locate(t.Context(), timeline, c.at); got != c.want || err != nil {
			t.Errorf("%s: got %v, %v, want %v", name, got, err, c.want)
		}
	}
}
