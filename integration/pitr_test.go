package integration

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/compact"
	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/integration/primary"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

// past is two days of a writer, whose replica is kept by our compactor, on a clock that moves only when it is told to. Level 1 tells half
// minutes apart.
type past struct {
	t       *testing.T
	rnd     *rand.Rand
	now     time.Time
	store   *memstore.Store
	primary *primary.Primary
	keep    compact.Options
	pause   time.Duration // between two transactions, at most, but for the long ones

	removed int                  // files, by retention
	made    map[int]int          // files that came into being, by level
	txids   []index.TXID         // of all transactions, ascending
	last    map[int64]index.TXID // of each interval of level 1
}

func newPast(t *testing.T, seed uint64, pause time.Duration) *past {
	h := &past{
		t: t, rnd: rand.New(rand.NewPCG(seed, 48)), now: time.Date(2026, 3, 1, 9, 59, 47, 350e6, time.UTC),
		pause: pause, made: map[int]int{}, last: map[int64]index.TXID{},
	}
	clock := func() time.Time { return h.now }
	h.store = &memstore.Store{Now: clock}
	h.primary = primary.New(t, h.store, primary.Options{PageSize: 512, Now: clock,
		Pragmas: []string{"auto_vacuum=full", "synchronous=off", "journal_mode=memory"}})
	h.keep = compact.Options{
		Levels: []time.Duration{30 * time.Second, 5 * time.Minute, time.Hour}, SnapshotInterval: 4 * time.Hour, Retention: 18 * time.Hour,
		L0Retention: 10 * time.Minute, Grace: 2 * time.Minute, TempDir: t.TempDir(), Now: clock,
	}
	h.primary.Exec("CREATE TABLE t(id INTEGER PRIMARY KEY, at TEXT, x BLOB)")
	return h
}

// commit makes one transaction that changes, grows or shrinks the database.
func (h *past) commit() {
	switch h.rnd.IntN(6) {
	case 0:
		h.primary.Exec("DELETE FROM t WHERE id % 5 = ?", h.rnd.IntN(5))
	case 1:
		h.primary.Exec("INSERT INTO t(x) SELECT randomblob(?) FROM (VALUES (1),(2),(3))", h.rnd.IntN(600))
	}
	h.primary.Exec("INSERT INTO t(at) VALUES (?)", h.now.Format(time.RFC3339Nano))
	h.primary.Exec("DELETE FROM t WHERE id < (SELECT max(id) FROM t) - 80")
	txid := h.primary.Sync()
	h.txids = append(h.txids, txid)
	h.last[h.interval(h.primary.Time(txid))] = txid
}

// interval is the one of level 1 that a time lies in.
func (h *past) interval(at time.Time) int64 { return at.Truncate(h.keep.Levels[0]).Unix() }

// live lets the time go by: transactions come in bursts with pauses between, the compactor comes when it likes, and is away for hours.
func (h *past) live(length time.Duration) {
	next := h.now // of the compactor
	for end := h.now.Add(length); h.now.Before(end); {
		h.commit()
		gap := time.Duration(1 + h.rnd.Int64N(int64(h.pause)))
		if h.rnd.IntN(150) == 0 {
			gap = time.Duration(h.rnd.IntN(90)) * time.Minute
		}
		h.now = h.now.Add(gap)
		if h.now.Before(next) {
			continue
		}
		h.compact()
		next = h.now.Add(time.Duration(1+h.rnd.IntN(30)) * time.Minute)
		if h.rnd.IntN(30) == 0 {
			next = next.Add(3 * time.Hour)
		}
	}
	h.compact()
}

// compact runs a compactor that has just been started.
func (h *past) compact() {
	c, err := compact.New(h.store, h.keep)
	if err != nil {
		h.t.Fatal(err)
	}
	r, err := c.Once(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	h.removed += len(r.Deleted)
	for _, made := range r.Made {
		h.made[made.Level]++
	}
}

// copied is the bucket after a copy: every object was stored at the same instant.
func (h *past) copied() *memstore.Store {
	same := h.now.Add(time.Hour)
	to := &memstore.Store{Now: func() time.Time { return same }}
	for _, o := range h.store.Objects() {
		if _, err := to.Put(h.t.Context(), o.Key, bytes.NewReader(o.Data), objstore.PutOptions{Timestamp: o.Timestamp}); err != nil {
			h.t.Fatal(err)
		}
	}
	return to
}

// before is the last transaction at or before a time, and the last of those that are promised to be openable now; 0 when there is none.
func (h *past) before(at time.Time) (last, promised index.TXID) {
	for _, txid := range h.txids {
		when := h.primary.Time(txid)
		if when.After(at) {
			break
		}
		last = txid
		single := h.now.Sub(when) <= h.keep.L0Retention
		if single || h.last[h.interval(when)] == txid {
			promised = txid
		}
	}
	return last, promised
}

// traveller is a connection to a bucket.
type traveller struct {
	name string
	db   *sql.DB
}

func newTraveller(t *testing.T, name string, store objstore.Store) *traveller {
	t.Helper()
	db, err := litefss3.OpenDB(litefss3.Config{Store: store, ReplicaURL: fmt.Sprintf("%s-%x", name, rand.Uint64()), PollInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1)
	return &traveller{name, db}
}

func (v *traveller) status(t *testing.T) (s litefss3.Status) {
	t.Helper()
	var text string
	if err := v.db.QueryRow("PRAGMA litestream_status").Scan(&text); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// to goes to an instant. It returns the transaction that is read then, and how many requests setting the time took.
func (v *traveller) to(t *testing.T, at time.Time) (txid index.TXID, requests int64, err error) {
	t.Helper()
	before := v.status(t).Requests
	_, err = v.db.ExecContext(context.Background(), fmt.Sprintf("PRAGMA litestream_time = '%s'", at.UTC().Format(time.RFC3339Nano)))
	after := v.status(t)
	if err != nil {
		return 0, 0, err
	}
	_, errText := fmt.Sscanf(after.Position.TXID, "%x", &txid)
	return txid, int64(after.Requests.Get + after.Requests.List - before.Get - before.List), errText
}

// TestT1_OurCompaction: 48 simulated hours of a writer, merged to three levels and snapshots by our compactor and removed by our
// retention. Random instants then read as the primary's log says: within Retention the last transaction of every half minute,
// within L0Retention every single one, and before that no newer one than was asked for, or an error that names what can be opened. The
// same after the bucket was copied, when the modification times of all objects are equal.
func TestT1_OurCompaction(t *testing.T) {
	t.Parallel()
	length, pause, instants := 48*time.Hour, time.Minute, 300
	if testing.Short() {
		length, pause, instants = 24*time.Hour, 4*time.Minute, 40
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	h := newPast(t, seed, pause)
	h.live(length)
	if h.removed < 100 || h.made[1] < 100 || h.made[2] < 40 || h.made[3] < 10 || h.made[index.SnapshotLevel] < 2 {
		t.Errorf("%d files removed, made by level: %v", h.removed, h.made)
	}
	kept := newTraveller(t, "kept", h.store)
	copied := newTraveller(t, "copied", h.copied())
	inside, worst := 0, map[string]int64{}
	for n := range instants {
		at := h.now.Add(-time.Duration(h.rnd.Int64N(int64(length + time.Hour))))
		if n%4 == 0 { // where single transactions are kept
			at = h.now.Add(-time.Duration(h.rnd.Int64N(int64(h.keep.L0Retention))))
		}
		last, promised := h.before(at)
		var first index.TXID
		for _, v := range []*traveller{kept, copied} {
			got, requests, err := v.to(t, at)
			if err != nil {
				h.checkOutside(v, at, err)
				continue
			}
			worst[v.name] = max(worst[v.name], requests)
			if got > last || h.now.Sub(at) <= h.keep.Retention && got < promised {
				t.Fatalf("%s: %s reads txid %s; the last one then was %s, and %s is promised to be openable", v.name, at, got, last, promised)
			}
			if first == 0 {
				first = got
				inside++
			}
			if got != first {
				t.Errorf("%s reads txid %s, and %s in the copied bucket", at, first, got)
			}
			h.primary.CheckSame(got, v.db)
		}
	}
	if inside < instants/3 {
		t.Errorf("%d of %d instants could be opened", inside, instants)
	}
	for name, n := range worst {
		if n > 100 { // one or two for each file of the chain, and a few to find it; never one for each object
			t.Errorf("%s: %d requests to set a time", name, n)
		}
	}
	t.Logf("%d transactions; made by level %v, %d removed, %d objects; %d of %d instants inside; requests at worst %v",
		len(h.txids), h.made, h.removed, len(h.store.Keys()), inside, instants, worst)
}

// checkOutside checks that an instant that cannot be opened lies before what is promised, and that the error says what can be.
func (h *past) checkOutside(v *traveller, at time.Time, err error) {
	h.t.Helper()
	if h.now.Sub(at) <= h.keep.Retention {
		h.t.Fatalf("%s: %s lies %s back, within what is kept: %v", v.name, at, h.now.Sub(at), err)
	}
	if newest := h.primary.Time(h.primary.TXID).Format("2006-01-02T15:04:05.000Z"); !strings.Contains(err.Error(), newest) {
		h.t.Errorf("%s: the error does not name the end of what can be opened, %s: %v", v.name, newest, err)
	}
	if first, ok := firstOf(err.Error()); !ok || !first.After(at) || h.now.Sub(first) < h.keep.Retention {
		h.t.Errorf("%s: %s: the error names no beginning that is promised: %v", v.name, at, err)
	}
}

// firstOf is the beginning of the window that an error names.
func firstOf(text string) (time.Time, bool) {
	_, text, _ = strings.Cut(text, "it goes from ")
	text, _, _ = strings.Cut(text, " to ")
	first, err := time.Parse(time.RFC3339Nano, text)
	return first, err == nil
}
