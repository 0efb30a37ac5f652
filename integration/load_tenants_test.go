package integration

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/superfly/ltx"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/integration/primary"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

const (
	maxFollowed = 400 // transactions
	kept        = 8   // rows
	// levelZero is how long single transactions stay. A follower asks for the next one by its name, and lists when its last good look is 15 s ago:
	// whoever removes them sooner makes followers wait for a listing.
	levelZero = 20 * time.Second
)

// tenant is one of many databases of a process.
type tenant struct {
	db   *sql.DB
	last atomic.Int64 // newest row that was seen
	gone atomic.Int64 // moments that were not there any more
}

// TestLoad_ThousandDatabases opens a thousand databases in one process and asks them at random, while what they follow grows, then leaves them
// alone, and asks again. Each sees whole commits, and later ones than before. In the end nothing is left. Not parallel: it counts what
// the process holds.
func TestLoad_ThousandDatabases(t *testing.T) {
	p := primary.New(t, new(memstore.Store), primary.Options{})
	p.Exec("CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, x BLOB)")
	p.Exec("CREATE TABLE total(n INTEGER)")
	p.Exec("INSERT INTO total VALUES (0)")
	rows := int64(0)
	var made []time.Time // of each transaction from the first on
	grow := func() {     // the primary keeps an image of each transaction: not too many, and the database stays small
		if rows == maxFollowed {
			return
		}
		rows++
		p.Exec("INSERT INTO t(x) VALUES (randomblob(3000))")
		p.Exec("DELETE FROM t WHERE id <= ?", rows-kept)
		p.Exec("UPDATE total SET n = ?", rows)
		p.Sync()
		for made = append(made, time.Now()); len(made) < int(p.TXID); {
			made = append(made, time.Now())
		}
		if p.TXID%16 == 0 {
			p.Compact(1, p.TXID-15, p.TXID)
			old, _ := slices.BinarySearchFunc(made, time.Now().Add(-levelZero), time.Time.Compare)
			p.Expire(0, min(ltx.TXID(old), p.TXID-16))
		}
	}
	grow()
	requests := objstore.NewMetrics(p.Store)
	room := watchLeaks(t)
	all := openTenants(t, requests, scaled(1000, 200))
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var asked atomic.Int64
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for ctx.Err() == nil && !t.Failed() {
				all[rand.IntN(len(all))].ask(t)
				asked.Add(1)
			}
		})
	}
	for begin := time.Now(); time.Since(begin) < *loadTime/2; time.Sleep(20 * time.Millisecond) {
		grow()
	}
	stop()
	wg.Wait()
	for _, each := range all { // now that nothing changes, all of them come to the head
		for deadline := time.Now().Add(time.Minute); each.last.Load() != rows && !t.Failed(); {
			each.ask(t)
			if time.Now().After(deadline) {
				t.Errorf("a database sees row %d as the newest, not %d", each.last.Load(), rows)
			}
		}
		each.db.SetMaxIdleConns(0)
	}
	time.Sleep(300 * time.Millisecond) // for what was under way
	quiet := requests.Stats().Requests()
	time.Sleep(300 * time.Millisecond)
	if more := requests.Stats().Requests() - quiet; more != 0 {
		t.Errorf("%d requests for databases that nobody uses", more)
	}
	for _, each := range all {
		if err := each.db.Close(); err != nil {
			t.Error(err)
		}
	}
	gone := int64(0)
	for _, each := range all {
		gone += each.gone.Load()
	}
	if gone == asked.Load() {
		t.Error("no moment was there any more when it was read: the test tests nothing")
	}
	t.Logf("%d databases, %d queries, %d of them of moments that were gone, %d transactions followed, %d requests", len(all), asked.Load(), gone, p.TXID, quiet)
	all = nil
	room.check(t)
}

func openTenants(t *testing.T, store objstore.Store, n int) []*tenant {
	t.Helper()
	all := make([]*tenant, n)
	for i := range all {
		db, err := litefss3.OpenDB(litefss3.Config{
			Store: struct{ objstore.Store }{store}, ReplicaURL: fmt.Sprint("mem:load-tenant-", i), PollInterval: 200 * time.Millisecond,
		})
		if err != nil {
			t.Fatal(err)
		}
		db.SetMaxIdleConns(1)
		t.Cleanup(func() { db.Close() })
		all[i] = &tenant{db: db}
	}
	return all
}

// ask reads one moment.
func (o *tenant) ask(t *testing.T) {
	least := o.last.Load()
	n, total, err := o.read(t.Context())
	if errors.Is(err, index.ErrViewExpired) {
		o.gone.Add(1) // the files of a moment go seconds after they were merged: on a busy machine sooner than they are read
		return
	}
	if err != nil {
		t.Error(err)
		return
	}
	if n != total {
		t.Errorf("the newest row is %d, the other table says %d: not one moment", n, total)
	}
	if n < least {
		t.Errorf("row %d was seen, and then %d as the newest", least, n)
	}
	for !o.last.CompareAndSwap(least, max(least, n)) {
		least = o.last.Load()
	}
}

// read returns the newest row of each table. The error has its cause in it.
func (o *tenant) read(ctx context.Context) (n, total int64, err error) {
	conn, err := o.db.Conn(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer conn.Close()
	row := conn.QueryRowContext(ctx, "SELECT max(id) - count(*) + min(?, max(id)), (SELECT n FROM total) FROM t", kept)
	if err := row.Scan(&n, &total); err != nil {
		return 0, 0, errors.Join(err, litefss3.Cause(conn, "main"))
	}
	return n, total, nil
}
