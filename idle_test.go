package litefss3_test

import (
	"database/sql"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/integration/primary"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

// footprint is what the process holds.
type footprint struct {
	bytes      int64 // of the heap and of stacks
	goroutines int
}

func measureFootprint() footprint {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what a sync.Pool holds survives one collection
	runtime.ReadMemStats(&m)
	return footprint{int64(m.HeapAlloc + m.StackInuse), runtime.NumGoroutine()}
}

// each is what one of n costs, when everything cost nothing before.
func (f footprint) each(before footprint, n int) (bytes int64, goroutines float64) {
	return (f.bytes - before.bytes) / int64(n), float64(f.goroutines-before.goroutines) / float64(n)
}

// tenants opens n replicas of one content, and asks each something.
func tenants(tb testing.TB, store objstore.Store, n int, pool func(*sql.DB)) []*sql.DB {
	tb.Helper()
	all := make([]*sql.DB, n)
	for i := range all {
		all[i] = open(tb, store, func(c *litefss3.Config) {
			c.ReplicaURL, c.PollInterval = fmt.Sprintf("mem:%s-%d", tb.Name(), i), 20*time.Millisecond
		})
		pool(all[i])
		if got := value(tb, all[i], "SELECT count(*) FROM a"); got != "20" {
			tb.Fatalf("tenant %d has %s rows", i, got)
		}
	}
	return all
}

// A thousand databases that nobody uses cost next to nothing once their pools have closed their connections, and ask nothing of the
// store. Not parallel: it weighs the process.
func TestIdleDatabases(t *testing.T) {
	n := 1000
	if testing.Short() {
		n = 100
	}
	p := primary.New(t, new(memstore.Store), primary.Options{})
	fill(p, 20)
	p.Sync()
	requests := objstore.NewMetrics(p.Store)
	for _, db := range tenants(t, requests, 2, func(*sql.DB) {}) { // what the first costs for all
		db.SetMaxIdleConns(0)
	}
	before := measureFootprint()
	all := tenants(t, requests, n, func(db *sql.DB) { db.SetMaxIdleConns(0) })
	asked := requests.Stats().Requests()
	bytes, goroutines := measureFootprint().each(before, n)
	t.Logf("%d databases without a connection: %d bytes and %.2f goroutines each", n, bytes, goroutines)
	if bytes > 100<<10 || goroutines > 1.1 { // database/sql keeps one for each pool
		t.Errorf("%d bytes and %.2f goroutines each", bytes, goroutines)
	}
	time.Sleep(100 * time.Millisecond) // five polls
	if more := requests.Stats().Requests() - asked; more != 0 {
		t.Errorf("%d requests for %d databases that nobody uses", more, n)
	}
	for _, db := range all[:5] { // they are there when somebody comes
		if got := value(t, db, "SELECT max(id) FROM a"); got != "20" {
			t.Errorf("got %s", got)
		}
	}
}

// A pool with an idle time lets go of a replica that nobody uses: no connections, no polls.
func TestIdlePool(t *testing.T) {
	t.Parallel()
	p := primary.New(t, new(memstore.Store), primary.Options{})
	fill(p, 20)
	p.Sync()
	synctest.Test(t, func(t *testing.T) {
		requests := objstore.NewMetrics(p.Store)
		db := open(t, requests, func(c *litefss3.Config) { c.PollInterval = time.Second })
		db.SetConnMaxIdleTime(5 * time.Minute)
		if got := value(t, db, "SELECT count(*) FROM a"); got != "20" {
			t.Errorf("got %s rows", got)
		}
		asked := requests.Stats().Requests()
		time.Sleep(4 * time.Minute)
		polled := requests.Stats().Requests()
		if polled <= asked || db.Stats().OpenConnections != 1 {
			t.Errorf("%d polls in four minutes, %d connections; want some, and one", polled-asked, db.Stats().OpenConnections)
		}
		time.Sleep(10 * time.Minute)
		left := requests.Stats().Requests()
		time.Sleep(24 * time.Hour)
		if more := requests.Stats().Requests() - left; more != 0 || db.Stats().OpenConnections != 0 {
			t.Errorf("%d requests in a day that nobody asked anything, %d connections", more, db.Stats().OpenConnections)
		}
		if got := value(t, db, "SELECT count(*) FROM a"); got != "20" {
			t.Errorf("got %s rows on the next day", got)
		}
	})
}

// BenchmarkIdleConnection weighs a replica with one connection that is open and does nothing.
func BenchmarkIdleConnection(b *testing.B) {
	p := primary.New(b, new(memstore.Store), primary.Options{})
	fill(p, 20)
	p.Sync()
	tenants(b, p.Store, 2, func(*sql.DB) {})
	const n = 50
	before := measureFootprint()
	for b.Loop() {
		b.StopTimer()
		all := tenants(b, p.Store, n, func(*sql.DB) {})
		bytes, goroutines := measureFootprint().each(before, n)
		b.ReportMetric(float64(bytes), "B/replica")
		b.ReportMetric(goroutines, "goroutines/replica")
		for _, db := range all {
			db.SetMaxIdleConns(0)
		}
		b.StartTimer()
	}
}
