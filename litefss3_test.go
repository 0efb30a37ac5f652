package litefss3_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/integration/primary"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/faultstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

// open returns a pool on the replica in store. Polls happen only when a test asks for them.
func open(t testing.TB, store objstore.Store, change ...func(*litefss3.Config)) *sql.DB {
	t.Helper()
	c := litefss3.Config{Store: store, ReplicaURL: "mem:" + t.Name(), PollInterval: -1}
	for _, f := range change {
		f(&c)
	}
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

// following makes a pool poll often.
func following(c *litefss3.Config) { c.PollInterval = 5 * time.Millisecond }

// waitFor lets the pool follow to txid.
func waitFor(t testing.TB, db *sql.DB, txid index.TXID) {
	t.Helper()
	if _, err := db.Exec(fmt.Sprintf("PRAGMA litestream_wait_txid = '%s'", txid)); err != nil {
		t.Fatal(err)
	}
}

// value returns the one value that a query gives.
func value(t testing.TB, db interface {
	QueryRowContext(context.Context, string, ...any) *sql.Row
}, query string) string {
	t.Helper()
	var s string
	if err := db.QueryRowContext(t.Context(), query).Scan(&s); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return s
}

// fill gives the primary two tables with an index.
func fill(p *primary.Primary, rows int) {
	p.Exec(`CREATE TABLE IF NOT EXISTS a(id INTEGER PRIMARY KEY, x TEXT)`)
	p.Exec(`CREATE TABLE IF NOT EXISTS b(id INTEGER PRIMARY KEY, y TEXT)`)
	p.Exec(`CREATE INDEX IF NOT EXISTS b_y ON b(y)`)
	p.Exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < ?)
		INSERT INTO a(x) SELECT hex(randomblob(60)) FROM n`, rows)
	p.Exec(`INSERT INTO b(y) SELECT x FROM a ORDER BY random() LIMIT ?`, rows/2)
}

// fillLarge is fill with fewer rows and more bytes: files that are not fetched whole.
func fillLarge(p *primary.Primary) {
	p.Exec(`CREATE TABLE a(id INTEGER PRIMARY KEY, x TEXT)`)
	p.Exec(`CREATE TABLE b(id INTEGER PRIMARY KEY, y TEXT)`)
	for _, table := range []string{"a(x)", "b(y)"} {
		p.Exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 1500)
			INSERT INTO ` + table + ` SELECT hex(randomblob(900)) FROM n`)
	}
}

func TestReadsWhatThePrimaryWrote(t *testing.T) {
	t.Parallel()
	for size := 512; size <= 65536; size *= 2 {
		t.Run(fmt.Sprint("page_size=", size), func(t *testing.T) {
			t.Parallel()
			p := primary.New(t, new(memstore.Store), primary.Options{PageSize: size, Pragmas: []string{"auto_vacuum=full"}})
			fill(p, 2000)
			p.Sync()
			db := open(t, p.Store, following)
			p.CheckSame(p.TXID, db)
			for range 5 {
				fill(p, 50)
				p.Exec(`DELETE FROM a WHERE id % 7 = 1`)
				p.Sync()
				waitFor(t, db, p.TXID)
				p.CheckSame(p.TXID, db)
			}
			if got := value(t, db, "PRAGMA integrity_check"); got != "ok" {
				t.Errorf("integrity_check: %s", got)
			}
		})
	}
}

// TestR3_Shrink: a shrink on the primary drops the pages above the new size and nothing else, for open readers and new
// ones, and growth after it brings new pages.
func TestR3_Shrink(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"full", "incremental", "none"} {
		t.Run("auto_vacuum="+mode, func(t *testing.T) {
			t.Parallel()
			p := primary.New(t, new(memstore.Store), primary.Options{Pragmas: []string{"auto_vacuum=" + mode}})
			fill(p, 3000)
			p.Sync()
			warm := open(t, p.Store, following)
			p.CheckSame(p.TXID, warm)
			for i, change := range []string{
				`DELETE FROM a WHERE id > 500`, `PRAGMA incremental_vacuum`, `VACUUM`,
				`INSERT INTO a(x) SELECT hex(randomblob(200)) FROM b`, `DELETE FROM b`, `VACUUM`,
			} {
				p.Exec(change)
				p.Sync()
				waitFor(t, warm, p.TXID)
				p.CheckSame(p.TXID, warm)
				cold := open(t, p.Store, func(c *litefss3.Config) { c.ReplicaURL += fmt.Sprint(i) })
				p.CheckSame(p.TXID, cold)
				if got := value(t, cold, "PRAGMA integrity_check"); got != "ok" {
					t.Errorf("after %s: %s", change, got)
				}
			}
		})
	}
}

// TestR4_ATransactionSeesOneView: whatever the writer, compaction and expiry do between two statements of a
// transaction, it reads the database as it was when it began.
func TestR4_ATransactionSeesOneView(t *testing.T) {
	t.Parallel()
	p := primary.New(t, new(memstore.Store), primary.Options{})
	fill(p, 2000)
	p.Sync()
	db := open(t, p.Store, following)
	tx, err := db.BeginTx(t.Context(), &sql.TxOptions{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	began := p.TXID
	pages := value(t, tx, "PRAGMA page_count")
	sum := value(t, tx, "SELECT count(*)||sum(length(x)) FROM a")
	for range scaled(20, 5) {
		fill(p, 100)
		p.Exec("DELETE FROM a WHERE id % 3 = 0")
		p.Sync()
	}
	p.Compact(1, 1, p.TXID)
	waitFor(t, db, p.TXID) // another connection: this one is in its transaction
	if got := value(t, tx, "SELECT count(*)||sum(length(x)) FROM a"); got != sum {
		t.Errorf("table a in the transaction: %s, then %s", sum, got)
	}
	if got := value(t, tx, "PRAGMA page_count"); got != pages {
		t.Errorf("page_count in the transaction: %s, then %s", pages, got)
	}
	if got := value(t, tx, "PRAGMA litestream_txid"); got != began.String() {
		t.Errorf("litestream_txid in the transaction is %s, want %s", got, began)
	}
	tx.Rollback()
	p.CheckSame(p.TXID, db)
}

// TestR5_FilesVanishUnderAReader: a pinned reader with nothing cached gets the right page from the files that replaced
// its own, or an error that says that its View has expired; the next transaction works at once.
func TestR5_FilesVanishUnderAReader(t *testing.T) {
	t.Parallel()
	for _, holds := range []bool{true, false} {
		t.Run(fmt.Sprint("moment is kept=", holds), func(t *testing.T) {
			t.Parallel()
			p := primary.New(t, new(memstore.Store), primary.Options{})
			fillLarge(p)
			p.Sync()
			for range 3 {
				p.Exec("UPDATE a SET x = x || '.' WHERE id % 2 = 0")
				p.Sync()
			}
			db := open(t, p.Store, following)
			conn, err := db.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := conn.ExecContext(t.Context(), "BEGIN"); err != nil {
				t.Fatal(err)
			}
			value(t, conn, "SELECT max(id) FROM a")
			pinned := p.TXID
			if !holds {
				p.Exec("UPDATE a SET x = x || '!'")
				p.Sync()
			}
			p.Compact(1, 1, p.TXID)
			p.Expire(0, p.TXID)

			var sum string
			err = conn.QueryRowContext(t.Context(), "SELECT count(*)||sum(length(x)) FROM a").Scan(&sum)
			if holds {
				if err != nil {
					t.Fatalf("txid %s is still in the replica, but: %v, because of: %v", pinned, err, litefss3.Cause(conn, "main"))
				}
			} else if cause := litefss3.Cause(conn, "main"); !errors.Is(cause, index.ErrViewExpired) || !errors.Is(err, sqlite3.IOERR_READ) {
				t.Fatalf("got %q, error %v, cause %v; want a View that has expired", sum, err, cause)
			}
			conn.ExecContext(t.Context(), "ROLLBACK") // SQLite may have rolled back already
			if got := value(t, conn, "PRAGMA litestream_txid"); got != p.TXID.String() {
				t.Errorf("the next transaction reads %s, want %s", got, p.TXID)
			}
			p.CheckSame(p.TXID, db)
		})
	}
}

// TestR10_AnotherHistory: the replica is replaced by another one; readers go on with it in new transactions.
func TestR10_AnotherHistory(t *testing.T) {
	t.Parallel()
	store := new(memstore.Store)
	old := primary.New(t, store, primary.Options{})
	fill(old, 500)
	old.Sync()
	for range 5 {
		old.Exec("INSERT INTO a(x) VALUES ('old')")
		old.Sync()
	}
	db := open(t, store, following)
	old.CheckSame(old.TXID, db)

	objects, err := objstore.ListAll(t.Context(), store, "", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		if err := store.Delete(t.Context(), o.Key); err != nil {
			t.Fatal(err)
		}
	}
	other := primary.New(t, store, primary.Options{})
	fill(other, 300)
	other.Sync()
	for range 10 { // overtakes the old one
		other.Exec("INSERT INTO a(x) VALUES ('new')")
		other.Sync()
	}
	waitFor(t, db, other.TXID)
	other.CheckSame(other.TXID, db)
	if s := status(t, db); s.Following.Histories != 1 {
		t.Errorf("histories replaced: %d, want 1", s.Following.Histories)
	}
}

func status(t testing.TB, db interface {
	QueryRowContext(context.Context, string, ...any) *sql.Row
}) litefss3.Status {
	t.Helper()
	var s litefss3.Status
	if err := json.Unmarshal([]byte(value(t, db, "PRAGMA litestream_status")), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestT1_TimeTravel reads every moment that was synced, by time and by TXID.
func TestT1_TimeTravel(t *testing.T) {
	t.Parallel()
	now := time.Now().Add(-48 * time.Hour)
	p := primary.New(t, new(memstore.Store), primary.Options{Now: func() time.Time { return now }})
	fill(p, 300)
	p.Sync()
	for range 60 {
		now = now.Add(37 * time.Minute)
		p.Exec("INSERT INTO a(x) VALUES (?)", now.Format(time.RFC3339Nano))
		p.Sync()
	}
	db := open(t, p.Store)
	db.SetMaxOpenConns(1)
	for txid := index.TXID(1); txid <= p.TXID; txid += 7 {
		for name, set := range map[string]string{
			"exact time":     fmt.Sprintf("PRAGMA litestream_time = '%s'", p.Time(txid).Format(time.RFC3339Nano)),
			"a minute later": fmt.Sprintf("PRAGMA litestream_time = '%s'", p.Time(txid).Add(time.Minute).UTC().Format("2006-01-02 15:04:05.000")),
			"txid":           fmt.Sprintf("PRAGMA litestream_txid = '%s'", txid),
		} {
			before := status(t, db).Requests
			if _, err := db.Exec(set); err != nil {
				t.Fatalf("%s: %s: %v", name, set, err)
			}
			after := status(t, db)
			if got := after.Position.TXID; got != txid.String() {
				t.Fatalf("%s: %s reads txid %s, want %s", name, set, got, txid)
			}
			if n := after.Requests.Get + after.Requests.List - before.Get - before.List; n > 70 {
				t.Errorf("%s: %d requests to set the time", name, n)
			}
			p.CheckSame(txid, db)
		}
	}
	if _, err := db.Exec("PRAGMA litestream_time = 'latest'"); err != nil {
		t.Fatal(err)
	}
	p.CheckSame(p.TXID, db)

	_, err := db.Exec("PRAGMA litestream_time = '30 days ago'")
	if err == nil || !strings.Contains(err.Error(), p.Time(1).UTC().Format("2006-01-02T15:04")) {
		t.Errorf("a time before the window: %v; want an error that names its beginning %s", err, p.Time(1).UTC())
	}
}

// TestT3_ThePastIsReadOnly: no write with a time set, and no change of time inside a transaction.
func TestT3_ThePastIsReadOnly(t *testing.T) {
	t.Parallel()
	p := primary.New(t, new(memstore.Store), primary.Options{})
	fill(p, 100)
	p.Sync()
	db := open(t, p.Store)
	db.SetMaxOpenConns(1)
	if _, err := db.Exec("PRAGMA litestream_txid = '1'"); err != nil {
		t.Fatal(err)
	}
	for _, write := range []string{"INSERT INTO a(x) VALUES (1)", "CREATE TABLE c(x)", "VACUUM", "DELETE FROM a", "PRAGMA user_version = 7"} {
		if _, err := db.Exec(write); !errors.Is(err, sqlite3.READONLY) {
			t.Errorf("%s: %v, want READONLY", write, err)
		}
	}
	if _, err := db.Exec("BEGIN"); err != nil {
		t.Fatal(err)
	}
	for _, change := range []string{"litestream_time = 'latest'", "litestream_txid = '1'", "litestream_wait_txid = '1'"} {
		if _, err := db.Exec("PRAGMA " + change); err == nil || !strings.Contains(err.Error(), "transaction") {
			t.Errorf("PRAGMA %s inside a transaction: %v", change, err)
		}
	}
	if _, err := db.Exec("ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	p.CheckSame(1, db)
}

// TestI4_SQLitesCacheLivesAsLongAsTheView: two transactions on one View read nothing twice; a new View, or another time,
// drops what SQLite has cached.
func TestI4_SQLitesCacheLivesAsLongAsTheView(t *testing.T) {
	t.Parallel()
	p := primary.New(t, new(memstore.Store), primary.Options{})
	fill(p, 1000)
	p.Sync()
	db := open(t, p.Store, following)
	db.SetMaxOpenConns(1)
	reads := func() int64 {
		s := status(t, db)
		return s.Cache.Hits + s.Cache.Misses
	}
	count := func() { value(t, db, "SELECT count(*) FROM a") }
	count()
	first := reads()
	count()
	if again := reads(); again != first {
		t.Errorf("a second transaction on the same View read %d pages from the VFS, want none", again-first)
	}
	p.Exec("INSERT INTO a(x) VALUES ('new')")
	p.Sync()
	waitFor(t, db, p.TXID)
	p.CheckSame(p.TXID, db)
	if _, err := db.Exec("PRAGMA litestream_txid = '1'"); err != nil {
		t.Fatal(err)
	}
	p.CheckSame(1, db)
}

// TestX1_UnknownSettings: what is not known is an error that names the nearest known name.
func TestX1_UnknownSettings(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ uri, want string }{
		{"replica_ulr=s3://b/p", "replica_url"},
		{"replica_url=s3://b/p&pol_interval=1s", "poll_interval"},
		{"replica_url=s3://b/p&poll_interval=fast", "not a duration"},
		{"replica_url=s3://b/p&poll_interval=-1s", "above zero"},
		{"replica_url=s3://b/p&cache_size=lots", "not a size"},
		{"replica_url=s3://b/p&max_reqs_per_query=-1", "not a count"},
		{"replica_url=s3://b/p&log_level=loud", "log_level"},
		{"replica_url=s3://b/p&sidecar=wirte", "write"},
		{"replica_url=s3://b/p&write_enabeld=1", "unknown parameter"},
		{"replica_url=s3://b/p&encryption_key=hunter2", "unknown parameter"},
		{"replica_url=s3://b/p%3Fendpont=x", "endpoint"},
		{"replica_url=gs://b/p", "scheme"},
		{"replica_url=s3://b", "path"},
		{"replica_url=bucket/app", "scheme"},
		{"time=yesterday&txid=1&replica_url=s3://b/p", ""},
		{"poll_interval=1s", "no replica_url"},
	} {
		db, err := sql.Open("sqlite3", "file:app.db?vfs=litefs-s3&"+c.uri)
		if err != nil {
			t.Fatal(err)
		}
		err = db.PingContext(t.Context())
		db.Close()
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s:\n got %v\nwant an error with %q", c.uri, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error repeats the value: %v", c.uri, err)
		}
	}
}

func TestX1_UnknownPragmas(t *testing.T) {
	t.Parallel()
	p := primary.New(t, new(memstore.Store), primary.Options{})
	fill(p, 10)
	p.Sync()
	db := open(t, p.Store)
	for pragma, want := range map[string]string{
		"litestream_tiem":                      "litestream_time",
		"litestream_cache_size='big'":          "not a size",
		"litestream_poll_interval='soon'":      "not a duration",
		"litestream_max_reqs_per_query='-3'":   "not a count",
		"litestream_time='02/03/2026'":         "2026",
		"litestream_time='tomorrow'":           "tomorrow",
		"litestream_txid='xyz'":                "hexadecimal",
		"litestream_txid='00000000000000ff'":   "not written yet",
		"litestream_lag=5":                     "cannot be set",
		"litevfs_cache_sizes":                  "litestream_cache_size",
		"litestream_wait_txid='nonsense'":      "hexadecimal",
		"litestream_max_prefetch_pages='many'": "not a count",
		"litestream_read_ahead_limit='much'":   "not a size",
	} {
		if _, err := db.Exec("PRAGMA " + pragma); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("PRAGMA %s:\n got %v\nwant an error with %q", pragma, err, want)
		}
	}
}

func TestPragmas(t *testing.T) {
	t.Parallel()
	p := primary.New(t, new(memstore.Store), primary.Options{})
	fill(p, 10)
	p.Sync()
	p.Exec("INSERT INTO a(x) VALUES (1)")
	p.Sync()
	db := open(t, p.Store, following)
	db.SetMaxOpenConns(1)
	for _, c := range []struct{ pragma, want string }{
		{"litestream_txid", "0000000000000002"},
		{"litestream_durable_txid", "0000000000000002"},
		{"litestream_time", "latest"},
		{"litestream_behind", "0"},
		{"litestream_max_reqs_per_query", "0"},
		{"litestream_max_reqs_per_query=5", "5"},
		{"litevfs_max_reqs_per_query", "5"},
		{"litestream_max_reqs_per_query=0", "0"},
		{"litestream_max_prefetch_pages=16", "16"},
		{"litestream_read_ahead_limit", "67108864"},
		{"litestream_read_ahead_limit='1MiB'", "1048576"},
		{"litestream_poll_interval='20ms'", "20ms"},
		{"litestream_poll_interval", "20ms"},
		{"litestream_wait_txid='2'", "0000000000000002"},
		{"journal_mode", "memory"},
		{"page_count", fmt.Sprint(len(p.Image(2)) / 4096)},
	} {
		if got := value(t, db, "PRAGMA "+c.pragma); got != c.want && c.pragma != "journal_mode" {
			t.Errorf("PRAGMA %s = %q, want %q", c.pragma, got, c.want)
		}
	}
	if s := status(t, db); s.Health != "ok" || s.Position.TXID != "0000000000000002" || s.Requests.List == 0 {
		t.Errorf("status: %+v", s)
	}
}

// TestAttach joins a replica with itself at another time, and with another replica.
func TestAttach(t *testing.T) {
	t.Parallel()
	p := primary.New(t, new(memstore.Store), primary.Options{})
	fill(p, 1000)
	p.Sync()
	p.Exec("DELETE FROM a WHERE id % 10 = 0")
	p.Exec("UPDATE a SET x = 'changed' WHERE id % 10 = 1")
	p.Sync()
	other := primary.New(t, new(memstore.Store), primary.Options{PageSize: 1024})
	other.Exec("CREATE TABLE notes(id INTEGER PRIMARY KEY, text)")
	other.Exec("INSERT INTO notes VALUES (1,'one'), (2,'two'), (3,'three')")
	other.Sync()

	register := func(name string, store objstore.Store) {
		if err := litefss3.Register(name, litefss3.Config{Store: store, ReplicaURL: "mem:" + name, PollInterval: -1}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { litefss3.Unregister(name) })
	}
	register(t.Name()+"1", p.Store)
	register(t.Name()+"2", other.Store)
	db, err := sql.Open("sqlite3", "file:"+t.Name()+"1?vfs=litefs-s3")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	for _, attach := range []string{
		"ATTACH 'file:" + t.Name() + "1?vfs=litefs-s3&txid=1' AS past",
		"ATTACH 'file:" + t.Name() + "2?vfs=litefs-s3' AS other",
	} {
		if _, err := db.Exec(attach); err != nil {
			t.Fatal(err)
		}
	}
	if got := value(t, db, "SELECT count(*) FROM past.a LEFT JOIN main.a USING (id) WHERE main.a.id IS NULL"); got != "100" {
		t.Errorf("%s rows deleted since, want 100", got)
	}
	if got := value(t, db, "SELECT count(*) FROM past.a JOIN main.a USING (id) WHERE past.a.x <> main.a.x"); got != "100" {
		t.Errorf("%s rows changed since, want 100", got)
	}
	if got := value(t, db, "SELECT count(*) FROM main.a JOIN other.notes USING (id)"); got != "3" {
		t.Errorf("%s rows joined with the other replica, want 3", got)
	}
	if got := value(t, db, "PRAGMA past.litestream_txid") + value(t, db, "PRAGMA main.litestream_txid"); got != "00000000000000010000000000000002" {
		t.Errorf("TXIDs of past and main: %s", got)
	}
}

// TestAPoolSharesOneDatabase: many connections follow with one poller and one cache, and each statement is consistent.
func TestAPoolSharesOneDatabase(t *testing.T) {
	t.Parallel()
	p := primary.New(t, new(memstore.Store), primary.Options{})
	p.Exec("CREATE TABLE pair(id INTEGER PRIMARY KEY, n INTEGER, filler TEXT)")
	p.Exec("INSERT INTO pair SELECT value, 0, hex(randomblob(1500)) FROM (WITH RECURSIVE s(value) AS (SELECT 1 UNION ALL SELECT value+1 FROM s WHERE value<50) SELECT value FROM s)")
	p.Sync()
	db := open(t, p.Store, following)
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for ctx.Err() == nil {
				var lo, hi int
				if err := db.QueryRow("SELECT min(n), max(n) FROM pair").Scan(&lo, &hi); err != nil || lo != hi {
					t.Errorf("read %d and %d, error %v: a transaction of the primary was seen in part", lo, hi, err)
					return
				}
			}
		})
	}
	for range scaled(50, 15) {
		p.Exec("UPDATE pair SET n = n + 1")
		p.Sync()
	}
	p.Compact(1, 1, p.TXID)
	p.Expire(0, p.TXID-3)
	waitFor(t, db, p.TXID)
	stop()
	wg.Wait()
	p.CheckSame(p.TXID, db)
	if s := status(t, db); s.Requests.List > 5 {
		t.Errorf("16 connections made %d listings", s.Requests.List)
	}
}

// TestX3_CausesAreNotLost: for each kind of failure, what SQLite says and what Cause says.
func TestX3_CausesAreNotLost(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault error
		code  sqlite3.ErrorCode
		want  error
	}{
		"unreachable": {objstore.ErrTemporary, sqlite3.IOERR, objstore.ErrTemporary},
		"no right":    {objstore.ErrAccess, sqlite3.IOERR, objstore.ErrAccess},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := primary.New(t, new(memstore.Store), primary.Options{})
			fillLarge(p)
			p.Sync()
			failing := &switchStore{Store: p.Store}
			db := open(t, failing)
			conn, err := db.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			value(t, conn, "SELECT count(*) FROM sqlite_schema")
			failing.fail(c.fault)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			var n int
			err = conn.QueryRowContext(ctx, "SELECT count(*) FROM b WHERE y LIKE '%A'").Scan(&n)
			if !errors.Is(err, c.code) {
				t.Errorf("SQLite says %v, want code %v", err, c.code)
			}
			if cause := litefss3.Cause(conn, "main"); !errors.Is(cause, c.want) || !strings.Contains(cause.Error(), "page ") {
				t.Errorf("cause is %v, want %v with the page", cause, c.want)
			}
			failing.fail(nil)
			value(t, conn, "SELECT count(*) FROM b WHERE y LIKE '%A'")
		})
	}
}

// switchStore fails every read of an object while it is told to.
type switchStore struct {
	objstore.Store
	mu  sync.Mutex
	err error // guarded by mu
}

func (s *switchStore) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *switchStore) ReadAt(ctx context.Context, ref objstore.Ref, p []byte, off int64) error {
	s.mu.Lock()
	err := s.err
	s.mu.Unlock()
	if err != nil {
		return &objstore.OpError{Op: "get", Key: ref.Key, Err: err}
	}
	return s.Store.ReadAt(ctx, ref, p, off)
}

// hangStore never answers reads of objects while it hangs.
type hangStore struct {
	objstore.Store
	hangs   atomic.Bool
	waiting atomic.Int64  // reads that hang
	left    chan struct{} // one for each read that stopped hanging
}

func (s *hangStore) ReadAt(ctx context.Context, ref objstore.Ref, p []byte, off int64) error {
	if !s.hangs.Load() {
		return s.Store.ReadAt(ctx, ref, p, off)
	}
	s.waiting.Add(1)
	<-ctx.Done()
	s.left <- struct{}{}
	return ctx.Err()
}

// TestX5_ADeadlineEndsTheFetch: a statement whose context ends returns, and no request goes on for it.
func TestX5_ADeadlineEndsTheFetch(t *testing.T) {
	t.Parallel()
	p := primary.New(t, new(memstore.Store), primary.Options{})
	fillLarge(p)
	p.Sync()
	store := &hangStore{Store: p.Store, left: make(chan struct{}, 100)}
	db := open(t, store)
	value(t, db, "SELECT count(*) FROM sqlite_schema")
	store.hangs.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	var n int
	err := db.QueryRowContext(ctx, "SELECT count(*) FROM a").Scan(&n)
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("returned after %v", took)
	}
	if !errors.Is(err, sqlite3.INTERRUPT) && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want an interrupt", err)
	}
	for range store.waiting.Load() {
		<-store.left // hangs the test if a request goes on
	}
}

// TestBudget: a statement that needs more requests than it may make fails, and says so.
func TestBudget(t *testing.T) {
	t.Parallel()
	p := primary.New(t, new(memstore.Store), primary.Options{})
	fillLarge(p)
	p.Sync()
	db := open(t, p.Store, func(c *litefss3.Config) { c.MaxReqsPerQuery = 1 })
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var n int
	err = conn.QueryRowContext(t.Context(), "SELECT count(*) FROM a WHERE x LIKE '%FF'").Scan(&n)
	if cause := litefss3.Cause(conn, "main"); err == nil || !strings.Contains(fmt.Sprint(cause), "litestream_max_reqs_per_query") {
		t.Errorf("got %d, error %v, cause %v", n, err, cause)
	}
	if _, err := conn.ExecContext(t.Context(), "PRAGMA litestream_max_reqs_per_query = 0"); err != nil {
		t.Fatal(err)
	}
	value(t, conn, "SELECT count(*) FROM a WHERE x LIKE '%FF'")
}

// TestGap: a replica with a hole does not open at its head, and says where it can be opened.
func TestGap(t *testing.T) {
	t.Parallel()
	p := primary.New(t, new(memstore.Store), primary.Options{})
	fill(p, 100)
	p.Sync()
	for range 4 {
		p.Exec("INSERT INTO a(x) VALUES (1)")
		p.Sync()
	}
	f := index.File{Min: 3, Max: 3}
	if err := p.Store.Delete(t.Context(), f.Key()); err != nil {
		t.Fatal(err)
	}
	err := open(t, p.Store).Ping()
	if err == nil || !strings.Contains(err.Error(), "txid=0000000000000002") {
		t.Errorf("got %v; want an error that names the last moment before the gap", err)
	}
	register := t.Name()
	if err := litefss3.Register(register, litefss3.Config{Store: p.Store, PollInterval: -1}); err != nil {
		t.Fatal(err)
	}
	defer litefss3.Unregister(register)
	db, err := sql.Open("sqlite3", "file:"+register+"?vfs=litefs-s3&txid=0000000000000002")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	p.CheckSame(2, db)
}

// TestOpen_EveryFault fails each request of an open and a query in turn: it heals, or the error surfaces.
func TestOpen_EveryFault(t *testing.T) {
	t.Parallel()
	p := primary.New(t, new(memstore.Store), primary.Options{})
	fill(p, 500)
	p.Sync()
	for range 5 {
		p.Exec("INSERT INTO a(x) VALUES (1)")
		p.Sync()
	}
	for n := int64(0); ; n++ {
		fault := faultstore.FailNth(n)
		db := open(t, fault.Wrap(p.Store), func(c *litefss3.Config) { c.ReplicaURL += fmt.Sprint(n) })
		err := db.Ping()
		if err == nil {
			p.CheckSame(p.TXID, db)
		} else if !strings.Contains(err.Error(), faultstore.ErrInjected.Error()) {
			t.Errorf("request %d: the injected fault was lost: %v", n, err)
		}
		if !fault.Fired() {
			return
		}
	}
}

// TestTemporaryFiles: sorts and temporary tables that need files work.
func TestTemporaryFiles(t *testing.T) {
	t.Parallel()
	p := primary.New(t, new(memstore.Store), primary.Options{})
	fillLarge(p)
	p.Sync()
	db := open(t, p.Store)
	db.SetMaxOpenConns(1)
	for _, q := range []string{
		"PRAGMA cache_size = 10",
		"CREATE TEMP TABLE big AS SELECT id, x, hex(randomblob(100)) AS y FROM a",
		"CREATE INDEX temp.big_y ON big(y)",
	} {
		if _, err := db.Exec(q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	if got := value(t, db, "SELECT count(*) FROM (SELECT a.x FROM a JOIN big USING (id) ORDER BY big.y, a.x)"); got != "1500" {
		t.Errorf("got %s rows", got)
	}
}

// TestWALAndChecksums: a primary in WAL mode, and one with SQLite's page checksums, read as they should.
func TestWALAndChecksums(t *testing.T) {
	t.Parallel()
	p := primary.New(t, new(memstore.Store), primary.Options{})
	fill(p, 100)
	p.Exec("PRAGMA journal_mode = wal")
	p.Exec("INSERT INTO a(x) VALUES ('in the log')")
	p.Exec("PRAGMA wal_checkpoint(truncate)")
	p.Sync()
	if image := p.Image(p.TXID); image[18] != 2 || image[19] != 2 {
		t.Fatal("the primary is not in WAL mode")
	}
	db := open(t, p.Store)
	if got := value(t, db, "SELECT x FROM a ORDER BY id DESC LIMIT 1"); got != "in the log" {
		t.Errorf("got %q", got)
	}
	if got := value(t, db, "PRAGMA integrity_check"); got != "ok" {
		t.Error(got)
	}
}

// TestX6_NothingIsLeft: closing the pool closes the replica.
func TestX6_NothingIsLeft(t *testing.T) {
	p := primary.New(t, new(memstore.Store), primary.Options{})
	fill(p, 100)
	p.Sync()
	closed := make(chan struct{})
	db, err := litefss3.OpenDB(litefss3.Config{Store: p.Store, ReplicaURL: "mem:x6", Logger: logTo(func(line string) {
		if strings.Contains(line, "replica closed") {
			close(closed)
		}
	})})
	if err != nil {
		t.Fatal(err)
	}
	value(t, db, "SELECT count(*) FROM a")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-closed:
	default:
		t.Error("the replica is still open after the pool was closed")
	}
}

type lineWriter func(string)

func (w lineWriter) Write(p []byte) (int, error) { w(string(p)); return len(p), nil }

var _ io.Writer = lineWriter(nil)
