package litefss3_test

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/integration/primary"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/faultstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

// everySecond is the interval that people have.
func everySecond(c *litefss3.Config) { c.PollInterval = time.Second }

// healths counts the open replicas by their health.
func healths() map[string]int {
	n := map[string]int{}
	for _, o := range litefss3.OpenDatabases() {
		n[o.Status().Health]++
	}
	return n
}

// Databases whose connections stay open, as those of a pool do, ask the store for nothing when nobody reads, and weigh little; and who comes
// after a day reads what was written in the last second. Not parallel: it weighs the process.
func TestSleep_ManyDatabases(t *testing.T) {
	n := 200
	if testing.Short() {
		n = 50
	}
	synctest.Test(t, func(t *testing.T) {
		p := primary.New(t, new(memstore.Store), primary.Options{})
		fill(p, 20)
		p.Sync()
		requests := objstore.NewMetrics(p.Store)
		tenants(t, requests, 2, func(*sql.DB) {}) // what the first costs for all
		time.Sleep(time.Minute)
		before := measureFootprint()
		all := make([]*sql.DB, n)
		for i := range all {
			all[i] = open(t, requests, everySecond, func(c *litefss3.Config) { c.ReplicaURL = fmt.Sprintf("mem:sleeper-%d", i) })
			if got := value(t, all[i], "SELECT count(*) FROM a"); got != "20" {
				t.Fatalf("tenant %d has %s rows", i, got)
			}
		}
		asked := requests.Stats().Requests()
		time.Sleep(20 * time.Second)
		if polled := requests.Stats().Requests() - asked; polled < int64(n)*15 {
			t.Errorf("%d polls of %d databases in twenty seconds of being awake", polled, n)
		}
		time.Sleep(40 * time.Second)
		asked = requests.Stats().Requests()
		bytes, goroutines := measureFootprint().each(before, n)
		t.Logf("%d sleeping databases with a connection: %d bytes and %.2f goroutines each, SQLite's included", n, bytes, goroutines)
		if bytes > 100<<10 || goroutines > 1.1 { // database/sql keeps one for each pool
			t.Errorf("%d bytes and %.2f goroutines each", bytes, goroutines)
		}
		time.Sleep(24 * time.Hour)
		if more := requests.Stats().Requests() - asked; more != 0 {
			t.Errorf("%d requests in a day for %d databases that nobody reads", more, n)
		}
		if idle := healths()["idle"]; idle < n {
			t.Errorf("%d of %d are idle: %v", idle, n, healths())
		}
		p.Exec(`INSERT INTO a(x) VALUES ('new')`)
		p.Sync()
		for _, db := range all {
			before := requests.Stats()
			if got := value(t, db, "SELECT count(*) FROM a"); got != "21" {
				t.Errorf("the first who reads after a day has %s rows", got)
			}
			if took := requests.Stats().Sub(before); took.Lists != 1 || took.Requests() > 4 {
				t.Errorf("waking took %d LIST of %d requests", took.Lists, took.Requests())
			}
		}
		time.Sleep(1100 * time.Millisecond)
		p.Exec(`INSERT INTO a(x) VALUES ('newer')`)
		p.Sync()
		time.Sleep(1100 * time.Millisecond)
		if got := value(t, all[0], "SELECT count(*) FROM a"); got != "22" {
			t.Errorf("polls do not go on: %s rows", got)
		}
	})
}

// asleep lets a database fall asleep.
func asleep(t *testing.T, db *sql.DB) {
	t.Helper()
	time.Sleep(time.Minute)
	if n := healths()["idle"]; n != 1 {
		t.Fatalf("it is not asleep: %v", healths())
	}
}

// What wakes a sleeping database sees what is new: a transaction of each of many connections, a wait for a transaction, and each pragma that tells
// what would be read. What only looks at it does not wake it.
func TestSleep_WhatWakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := primary.New(t, new(memstore.Store), primary.Options{})
		fill(p, 20)
		p.Sync()
		requests := objstore.NewMetrics(p.Store)
		db := open(t, requests, everySecond)
		db.SetMaxIdleConns(8)
		conns := make([]*sql.Conn, 8)
		for i := range conns {
			conns[i] = only(t, db)
			value(t, conns[i], "SELECT count(*) FROM a")
		}
		write := func() {
			p.Exec(`INSERT INTO a(x) VALUES ('new')`)
			p.Sync()
		}
		for name, wake := range map[string]func() string{
			"txid":         func() string { return value(t, conns[0], "PRAGMA litestream_txid") },
			"durable_txid": func() string { return value(t, conns[0], "PRAGMA litestream_durable_txid") },
			"wait_txid":    func() string { return value(t, conns[0], fmt.Sprintf("PRAGMA litestream_wait_txid = '%s'", p.TXID)) },
			"lag": func() string {
				if lag := value(t, conns[0], "PRAGMA litestream_lag"); lag != "0.000" {
					t.Errorf("lag %s", lag)
				}
				return litefss3.OpenDatabases()[0].Status().Following.TXID
			},
			"status": func() string {
				st := status(t, conns[0])
				if st.Health != "ok" {
					t.Errorf("health %s", st.Health)
				}
				return st.Following.TXID
			},
			"poll_interval": func() string {
				value(t, conns[0], "PRAGMA litestream_poll_interval = '1s'")
				return litefss3.OpenDatabases()[0].Status().Following.TXID
			},
		} {
			asleep(t, db)
			write()
			if got := wake(); got != p.TXID.String() {
				t.Errorf("%s: at %s, want %s", name, got, p.TXID)
			}
		}
		asleep(t, db)
		write()
		before := requests.Stats()
		if s := litefss3.OpenDatabases()[0].Status(); s.Health != "idle" || s.Following.Lag != 0 {
			t.Errorf("looked at: health %q, lag %v", s.Health, s.Following.Lag)
		}
		if n := requests.Stats().Sub(before).Requests(); n != 0 {
			t.Errorf("a look at it took %d requests", n)
		}
		want := value(t, p.DB, "SELECT count(*) FROM a")
		var readers sync.WaitGroup
		for _, c := range conns {
			readers.Go(func() {
				if got := value(t, c, "SELECT count(*) FROM a"); got != want {
					t.Errorf("%s rows, want %s", got, want)
				}
			})
		}
		readers.Wait()
		if got := requests.Stats().Sub(before); got.Lists != 1 {
			t.Errorf("eight connections at once: %d LIST", got.Lists)
		}
	})
}

// A store that is down when somebody comes after a sleep is as when polls fail: old data, and health and lag say so. With stale_after it
// is an error; and who gives up is told that.
func TestSleep_StoreDown(t *testing.T) {
	for _, stale := range []time.Duration{0, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			p := primary.New(t, new(memstore.Store), primary.Options{})
			fill(p, 20)
			p.Sync()
			var down, hangs atomic.Bool
			store := faultstore.Wrap(p.Store, func(context.Context, faultstore.Call) faultstore.Action {
				switch {
				case hangs.Load():
					return faultstore.Action{Mode: faultstore.Hang}
				case down.Load():
					return faultstore.Action{Mode: faultstore.Refuse, Err: objstore.ErrAccess}
				}
				return faultstore.Action{}
			})
			db := open(t, store, everySecond, func(c *litefss3.Config) { c.StaleAfter = stale })
			rows := value(t, db, "SELECT count(*) FROM a")
			asleep(t, db)
			time.Sleep(24 * time.Hour)
			hangs.Store(true)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			var n int
			if err := db.QueryRowContext(ctx, "SELECT count(*) FROM a").Scan(&n); err == nil || ctx.Err() == nil {
				t.Errorf("a statement that was interrupted has %d rows, %v", n, err)
			}
			hangs.Store(false)
			asleep(t, db)
			time.Sleep(24 * time.Hour)
			down.Store(true)
			var got string
			err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM a").Scan(&got)
			if stale == 0 && (err != nil || got != rows) || stale > 0 && err == nil {
				t.Errorf("stale_after=%v: %q, %v; had %s rows", stale, got, err, rows)
			}
			if s := litefss3.OpenDatabases()[0].Status(); s.Health != "unreachable" || s.Following.Lag < 24*3600 {
				t.Errorf("health %q, lag %v", s.Health, s.Following.Lag)
			}
			down.Store(false)
			p.Exec(`INSERT INTO a(x) VALUES ('new')`)
			p.Sync()
			time.Sleep(20 * time.Second)
			if now, want := value(t, db, "SELECT count(*) FROM a"), value(t, p.DB, "SELECT count(*) FROM a"); now != want {
				t.Errorf("the store is back: %s rows, want %s", now, want)
			}
		})
	}
}

// A writer does not sleep: its lease is renewed, and it looks at the bucket. Nor does a database while it fetches its local copy.
func TestSleep_WhoDoesNot(t *testing.T) {
	t.Run("writer", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			requests := objstore.NewMetrics(new(memstore.Store))
			db := open(t, requests, everySecond, func(c *litefss3.Config) {
				c.Write, c.BufferPath, c.Compaction = true, t.TempDir(), litefss3.CompactionOff
			})
			if _, err := db.Exec("CREATE TABLE a(x)"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Minute)
			before := requests.Stats()
			time.Sleep(time.Minute)
			if now := requests.Stats().Sub(before); now.Gets < 50 || now.Puts == 0 || healths()["ok"] != 1 {
				t.Errorf("in a minute: %d GET, %d PUT; health %v", now.Gets, now.Puts, healths())
			}
			if _, err := db.Exec("INSERT INTO a VALUES (1)"); err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("hydrating", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := primary.New(t, new(memstore.Store), primary.Options{})
			fillLarge(p)
			p.Sync()
			db := open(t, p.Store, everySecond, func(c *litefss3.Config) {
				c.Hydrate, c.Hydration.Path, c.Hydration.Bandwidth = true, t.TempDir()+"/copy.db", 20<<10
			})
			value(t, db, "SELECT max(id) FROM a")
			time.Sleep(time.Minute)
			if s := litefss3.OpenDatabases()[0].Status(); s.Hydration.State != "hydrating" || s.Health != "ok" {
				t.Errorf("copy is %s with %v %%, health %q", s.Hydration.State, s.Hydration.Percent, s.Health)
			}
			time.Sleep(time.Hour)
			if s := litefss3.OpenDatabases()[0].Status(); s.Hydration.State != "complete" || s.Health != "idle" {
				t.Errorf("copy is %s with %v %%, health %q", s.Hydration.State, s.Hydration.Percent, s.Health)
			}
			p.Exec("UPDATE a SET x = 'new' WHERE id = 7")
			p.Sync()
			if got := value(t, db, "SELECT x FROM a WHERE id = 7"); got != "new" {
				t.Errorf("got %.20q", got)
			}
			value(t, db, "PRAGMA litestream_hydrate = wait")
			p.CheckSame(p.TXID, db)
		})
	})
}

// A sleeping database knows every moment: also those that came while it slept, and whose files were merged meanwhile.
func TestSleep_TimeTravel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := primary.New(t, new(memstore.Store), primary.Options{})
		fill(p, 20)
		p.Sync()
		db := open(t, p.Store, everySecond)
		conn := only(t, db)
		value(t, conn, "SELECT count(*) FROM a")
		asleep(t, db)
		for range 30 {
			time.Sleep(10 * time.Minute)
			p.Exec(`INSERT INTO a(x) VALUES ('new')`)
			p.Sync()
		}
		p.Compact(1, 1, p.TXID)
		p.Expire(0, p.TXID-1)
		time.Sleep(5 * time.Minute)
		value(t, conn, "PRAGMA litestream_time = '10 seconds ago'")
		if got := value(t, conn, "SELECT count(*) FROM a"); got != "50" {
			t.Errorf("ten seconds ago: %s rows", got)
		}
		if n := healths()["idle"]; n != 1 {
			t.Errorf("who reads the past has woken it: %v", healths())
		}
		value(t, conn, "PRAGMA litestream_time = latest")
		p.CheckSame(p.TXID, db)
	})
}
