package docs_test

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/faultstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
	"github.com/litefs-s3/litefs-s3/writer"
)

// Dollars a request, and hours a month, as costs.md has them.
const (
	priceGet  = 0.4e-6
	pricePut  = 5e-6 // and LIST
	monthLong = 730
)

// A bill is what one process asks of a bucket, and its row in costs.md.
type bill struct {
	row    string
	counts *objstore.Metrics
	hour   objstore.Stats
}

// newBill counts requests that take 25 ms each.
func newBill(row string, bucket objstore.Store) *bill {
	return &bill{row: row, counts: objstore.NewMetrics(faultstore.Wrap(bucket, func(context.Context, faultstore.Call) faultstore.Action {
		return faultstore.Action{Delay: 25 * time.Millisecond}
	}))}
}

// open opens the replica in the bucket.
func (b *bill) open(t *testing.T, change func(*litefss3.Config)) *sql.DB {
	t.Helper()
	c := litefss3.Config{Store: b.counts, ReplicaURL: "mem:" + b.row, PollInterval: time.Second}
	change(&c)
	db, err := litefss3.OpenDB(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func reads(*litefss3.Config) {}

// writes makes c a writer. That commits are not flushed to a disk saves time and no request.
func writes(t *testing.T, compaction litefss3.CompactionMode) func(*litefss3.Config) {
	return func(c *litefss3.Config) {
		c.Write, c.BufferPath, c.Durability, c.Compaction = true, t.TempDir(), writer.Memory, compaction
	}
}

func exec(t *testing.T, db *sql.DB, query string) {
	t.Helper()
	if _, err := db.Exec(query); err != nil {
		t.Fatal(err)
	}
}

// fill makes a database of 1,000 rows with two transactions.
func fill(t *testing.T, db *sql.DB) {
	t.Helper()
	exec(t, db, "CREATE TABLE t(id INTEGER PRIMARY KEY, x)")
	time.Sleep(5 * time.Second)
	exec(t, db, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<1000) INSERT INTO t SELECT i, hex(randomblob(100)) FROM n")
	time.Sleep(5 * time.Second)
}

// measure lets two hours pass, and counts the second one.
func measure(second func(i int), bills ...*bill) {
	for range 2 {
		for _, b := range bills {
			b.hour = b.counts.Stats()
		}
		for i := range 3600 {
			second(i)
			time.Sleep(time.Second)
		}
		for _, b := range bills {
			b.hour = b.counts.Stats().Sub(b.hour)
		}
	}
}

// The requests that costs.md says following and writing take are those that are made, and its dollars follow from them.
func TestCosts(t *testing.T) {
	idle := func(compaction litefss3.CompactionMode, writing, reading string) []*bill {
		bucket := new(memstore.Store)
		w, r := newBill(writing, bucket), newBill(reading, bucket)
		synctest.Test(t, func(t *testing.T) {
			fill(t, w.open(t, writes(t, compaction)))
			db := r.open(t, reads)
			measure(func(i int) {
				if i%5 == 0 {
					exec(t, db, "SELECT count(*) FROM t WHERE id = 7")
				}
			}, w, r)
		})
		return []*bill{w, r}
	}
	busy := func() []*bill {
		bucket := new(memstore.Store)
		w, r := newBill("one commit each second, all the time", bucket), newBill("follow, the writer writes each second", bucket)
		synctest.Test(t, func(t *testing.T) {
			db := w.open(t, writes(t, litefss3.AutomaticCompaction))
			fill(t, db)
			reader := r.open(t, reads)
			measure(func(i int) {
				exec(t, db, "UPDATE t SET x = hex(randomblob(100)) WHERE id = 1 + abs(random()) % 1000")
				exec(t, reader, "SELECT count(*) FROM t WHERE id = 7")
			}, w, r)
		})
		return []*bill{w, r}
	}
	all := idle(litefss3.AutomaticCompaction, "nothing is written", "follow, nobody writes")
	all = append(all, idle(litefss3.CompactionOff, "nothing is written, `compaction=off`", "")[0])
	if !testing.Short() {
		all = append(all, busy()...)
	}
	page := pages(t)["../docs/costs.md"]
	for _, b := range all {
		t.Log(b)
		b.check(t, page)
	}
}

// String is the row as it should be.
func (b *bill) String() string {
	h := b.hour
	return fmt.Sprintf("| %s | %d | %d | %d | $%.2f |", b.row, h.Puts, h.Gets, h.Lists, dollars(float64(h.Puts), float64(h.Gets), float64(h.Lists)))
}

func dollars(puts, gets, lists float64) float64 {
	return monthLong * (gets*priceGet + (puts+lists)*pricePut)
}

// check compares the row of the page with what was counted: to a twentieth, for what happens at which instant is a matter of chance.
func (b *bill) check(t *testing.T, page string) {
	t.Helper()
	_, rest, ok := strings.Cut(page, "\n| "+b.row+" |")
	line, _, _ := strings.Cut(rest, "\n")
	cells := strings.Split(line, "|")
	if !ok || len(cells) < 4 {
		t.Errorf("costs.md has no row for %q; it is %s", b.row, b)
		return
	}
	var said [4]float64
	for i := range said {
		said[i], _ = strconv.ParseFloat(strings.NewReplacer("*", "", "$", "", ",", "", " ", "").Replace(cells[i]), 64)
	}
	for i, counted := range []int64{b.hour.Puts, b.hour.Gets, b.hour.Lists} {
		if math.Abs(said[i]-float64(counted)) > 3+float64(counted)/20 {
			t.Errorf("costs.md says |%s and it should be %s", line, b)
			return
		}
	}
	if want := dollars(said[0], said[1], said[2]); math.Abs(said[3]-want) > 0.006 {
		t.Errorf("costs.md says $%.2f for %q, and its counts say $%.2f", said[3], b.row, want)
	}
}
