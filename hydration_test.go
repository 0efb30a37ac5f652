package litefss3_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/hydrate"
	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/integration/primary"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

// hydrated keeps a local copy at path; a temporary one when it is empty.
func hydrated(path string) func(*litefss3.Config) {
	return func(c *litefss3.Config) {
		c.Hydrate = true
		c.Hydration.Path = path
	}
}

// newPrimary returns a primary with two tables of so many rows and half of that.
func newPrimary(t testing.TB, rows int) *primary.Primary {
	p := primary.New(t, new(memstore.Store), primary.Options{Pragmas: []string{"auto_vacuum=incremental"}})
	fill(p, rows)
	p.Sync()
	return p
}

// hydrateNow waits until everything is local.
func hydrateNow(t testing.TB, db *sql.DB) {
	t.Helper()
	if got := value(t, db, "PRAGMA litestream_hydrate = 'wait'"); got != "100" {
		t.Fatalf("hydrated to %s per cent", got)
	}
}

// slowStore holds back reads while it is shut, and counts those that go through.
type slowStore struct {
	objstore.Store
	gets atomic.Int64

	mu   sync.Mutex
	shut chan struct{} // closed to let reads through; nil when it is open; guarded by mu
}

func (s *slowStore) close() (open func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	shut := make(chan struct{})
	s.shut = shut
	return sync.OnceFunc(func() {
		s.mu.Lock()
		s.shut = nil
		s.mu.Unlock()
		close(shut)
	})
}

func (s *slowStore) ReadAt(ctx context.Context, ref objstore.Ref, p []byte, off int64) error {
	s.mu.Lock()
	shut := s.shut
	s.mu.Unlock()
	if shut != nil {
		select {
		case <-shut:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.gets.Add(1)
	return s.Store.ReadAt(ctx, ref, p, off)
}

// checkFile checks that the file of a copy that was closed is the database as of txid, also to SQLite.
func checkFile(t testing.TB, p *primary.Primary, path string, txid index.TXID) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, p.Image(txid)) {
		t.Fatalf("the file of %d bytes is not the database of %d", len(got), len(p.Image(txid)))
	}
	plain, err := sql.Open("sqlite3", "file:"+path+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if got := value(t, plain, "PRAGMA integrity_check"); got != "ok" {
		t.Errorf("integrity_check: %s", got)
	}
	p.CheckSame(txid, plain)
}

func TestHydration_ServesWithoutTheBucket(t *testing.T) {
	t.Parallel()
	p := newPrimary(t, 3000)
	store := &slowStore{Store: p.Store}
	path := filepath.Join(t.TempDir(), "app.db")
	var calls, percent atomic.Int64
	c := litefss3.Config{Store: store, ReplicaURL: "mem:" + t.Name(), PollInterval: -1, CacheSize: litefss3.DefaultCacheSize}
	c.Hydration.Path = path // is enough
	c.Hydration.OnProgress = func(p hydrate.Progress) {
		calls.Add(1)
		percent.Store(int64(p.Percent()))
	}
	db, err := litefss3.OpenDB(c)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	hydrateNow(t, db)
	before := store.gets.Load()
	p.CheckSame(p.TXID, db)
	if n := store.gets.Load() - before; n != 0 {
		t.Errorf("%d requests for pages although all are local", n)
	}
	s := status(t, db)
	if h := s.Hydration; h == nil || h.State != "complete" || h.Path != path || h.Percent != 100 || h.Pages != h.Total || h.Temporary {
		t.Errorf("status says %+v", h)
	}
	if s.Cache.Local == 0 {
		t.Error("no page was read from the local copy")
	}
	if got := value(t, db, "PRAGMA litestream_hydration_file"); got != path {
		t.Errorf("litestream_hydration_file: %q, want %q", got, path)
	}
	if calls.Load() < 2 || percent.Load() != 100 {
		t.Errorf("progress was told %d times, last %d per cent", calls.Load(), percent.Load())
	}
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	local, err := litefss3.Local(conn, "main")
	if err != nil || local.Progress().State != hydrate.Complete || local.Wait(t.Context()) != nil {
		t.Errorf("Local: %v, %+v", err, local)
	}
	conn.Close()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	checkFile(t, p, path, p.TXID)
}

// TestT2_TimeTravelDuringHydration: a time that is set while the copy is filled stays set, and the copy goes on to serve everyone.
func TestT2_TimeTravelDuringHydration(t *testing.T) {
	t.Parallel()
	p := newPrimary(t, 2000)
	past := p.TXID
	p.Exec("UPDATE a SET x = 'new' WHERE id % 3 = 0")
	p.Exec("DELETE FROM b WHERE id % 2 = 0")
	p.Sync()
	p.Snapshot()
	store := &slowStore{Store: p.Store}
	db := open(t, store, hydrated(filepath.Join(t.TempDir(), "app.db")))
	traveller, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer traveller.Close()
	travel := func(to string) {
		t.Helper()
		if _, err := traveller.ExecContext(t.Context(), fmt.Sprintf("PRAGMA litestream_txid = '%s'", to)); err != nil {
			t.Fatal(err)
		}
	}
	count := func(q string) string { return value(t, traveller, q) }
	shut := store.close()
	go func() { time.Sleep(50 * time.Millisecond); shut() }()
	travel(past.String())
	if got := count("SELECT count(*) FROM a WHERE x = 'new'"); got != "0" {
		t.Errorf("%s new rows in the past while the copy is filled", got)
	}
	hydrateNow(t, db)
	if got := count("SELECT count(*) FROM a WHERE x = 'new'"); got != "0" {
		t.Errorf("%s new rows in the past after the copy was filled", got)
	}
	if got := count("SELECT count(*) FROM b"); got != "1000" {
		t.Errorf("%s rows in b, want 1000", got)
	}
	p.CheckSame(p.TXID, db)
	travel("latest")
	before := status(t, db).Cache.Local
	if got := count("SELECT count(*) FROM a WHERE x = 'new'"); got == "0" {
		t.Error("no new rows after going back to the newest state")
	}
	if status(t, db).Cache.Local == before {
		t.Error("the traveller does not read from the local copy again")
	}
}

// TestH1_CommitsDuringHydration: transactions that arrive while the copy is half full are in it.
func TestH1_CommitsDuringHydration(t *testing.T) {
	t.Parallel()
	p := newPrimary(t, 4000)
	store := &slowStore{Store: p.Store}
	path := filepath.Join(t.TempDir(), "app.db")
	db := open(t, store, hydrated(path), following, func(c *litefss3.Config) { c.Hydration.Bandwidth = 1 << 20 })
	value(t, db, "SELECT count(*) FROM b")
	shut := store.close()
	for range scaled(100, 20) {
		p.Exec("UPDATE a SET x = hex(randomblob(70)) WHERE id IN (SELECT id FROM a ORDER BY random() LIMIT 5)")
		p.Exec("INSERT INTO b(y) VALUES (hex(randomblob(60)))")
		p.Sync()
	}
	shut()
	waitFor(t, db, p.TXID)
	p.CheckSame(p.TXID, db)
	hydrateNow(t, db)
	p.CheckSame(p.TXID, db)
	db.Close()
	checkFile(t, p, path, p.TXID)
}

// TestH2_ResumeOverExpiry: a copy that was closed is right at the first read after a thousand transactions, merges, a shrink, and
// after the single transactions are gone.
func TestH2_ResumeOverExpiry(t *testing.T) {
	t.Parallel()
	p := newPrimary(t, 2000)
	p.Snapshot()
	store := &slowStore{Store: p.Store}
	path := filepath.Join(t.TempDir(), "app.db")
	visit := func() (gets int64) {
		t.Helper()
		before := store.gets.Load()
		db, err := litefss3.OpenDB(litefss3.Config{Store: store, ReplicaURL: "mem:h2", PollInterval: -1, Hydration: hydrate.Options{Path: path}})
		if err != nil {
			t.Fatal(err)
		}
		p.CheckSame(p.TXID, db)
		hydrateNow(t, db)
		p.CheckSame(p.TXID, db)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		checkFile(t, p, path, p.TXID)
		return store.gets.Load() - before
	}
	first := visit()
	for round := range 3 {
		from := p.TXID + 1
		n := scaled(300, 60)
		for i := range n {
			p.Exec("UPDATE a SET x = hex(randomblob(60)) WHERE id = ?", 1+i*5)
			if round == 1 && i == n/2 {
				p.Exec("DELETE FROM b")
				p.Exec("PRAGMA incremental_vacuum")
			}
			p.Sync()
			if i%(n/6) == n/6-1 {
				p.Compact(1, from, p.TXID)
				from = p.TXID + 1
			}
		}
		p.Expire(0, p.TXID)
		if again := visit(); again > first+40 {
			t.Errorf("round %d: %d requests to come back, %d for everything", round, again, first)
		}
	}
}

// TestH4_ReadersWhileTheCopyMoves: readers in long transactions see one moment each while the copy follows the writer.
func TestH4_ReadersWhileTheCopyMoves(t *testing.T) {
	t.Parallel()
	p := newPrimary(t, 2000)
	db := open(t, p.Store, hydrated(""), following)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	p.Exec("CREATE TABLE sums(n INTEGER)")
	p.Exec("INSERT INTO sums SELECT sum(length(x)) FROM a")
	p.Sync()
	p.Snapshot()
	waitFor(t, db, p.TXID)
	var wg sync.WaitGroup
	var seen atomic.Int64
	for range 8 {
		wg.Go(func() {
			for ctx.Err() == nil {
				if err := sameTwice(ctx, db); err != nil && ctx.Err() == nil {
					t.Error(err)
					return
				}
				seen.Add(1)
			}
		})
	}
	for i := range scaled(60, 15) {
		p.Exec("UPDATE a SET x = hex(randomblob(40 + abs(random() % 30))) WHERE id % 20 = ?", i%20)
		p.Exec("UPDATE sums SET n = (SELECT sum(length(x)) FROM a)")
		p.Sync()
		if i%10 == 9 {
			p.Compact(1, p.TXID-9, p.TXID)
			p.Expire(0, p.TXID-10)
		}
		time.Sleep(5 * time.Millisecond)
	}
	stop()
	wg.Wait()
	if seen.Load() < 20 {
		t.Errorf("only %d moments were read", seen.Load())
	}
	waitFor(t, db, p.TXID)
	hydrateNow(t, db)
	p.CheckSame(p.TXID, db)
}

// sameTwice reads one moment twice in a transaction.
func sameTwice(ctx context.Context, db *sql.DB) error {
	tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var last [2]int64
	for i := range 2 {
		var sum, noted int64
		if err := tx.QueryRowContext(ctx, "SELECT sum(length(x)), (SELECT n FROM sums) FROM a").Scan(&sum, &noted); err != nil {
			return err
		}
		if sum != noted || i > 0 && last != [2]int64{sum, noted} {
			return fmt.Errorf("not one moment: %d and %d, before %v", sum, noted, last)
		}
		last = [2]int64{sum, noted}
		time.Sleep(10 * time.Millisecond)
	}
	return nil
}

// TestH5_OneFileOneCopy: two databases with one path, and a file that another process holds, get files of their own.
func TestH5_OneFileOneCopy(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "app.db")
	a, b := newPrimary(t, 500), newPrimary(t, 900)
	said := make(chan string, 1)
	first := open(t, a.Store, hydrated(path))
	hydrateNow(t, first)
	second := open(t, b.Store, hydrated(path), func(c *litefss3.Config) {
		c.Logger = logTo(func(line string) {
			if strings.Contains(line, "local copy is in use") {
				said <- line
			}
		})
	})
	hydrateNow(t, second)
	for range 2 {
		a.CheckSame(a.TXID, first)
		b.CheckSame(b.TXID, second)
	}
	if h := status(t, second).Hydration; !h.Temporary || h.Path == path {
		t.Errorf("the second copy is %+v", h)
	}
	if len(said) != 1 {
		t.Error("the log does not say so")
	}
	temporary := value(t, second, "PRAGMA litestream_hydration_file")
	second.Close()
	if _, err := os.Stat(temporary); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the temporary copy is still there: %v", err)
	}
}

// TestR10_AnotherHistoryIsNotMixedIn: when the replica is replaced, the copy begins anew.
func TestR10_AnotherHistoryIsNotMixedIn(t *testing.T) {
	t.Parallel()
	p := newPrimary(t, 800)
	path := filepath.Join(t.TempDir(), "app.db")
	db := open(t, p.Store, hydrated(path), following)
	hydrateNow(t, db)

	if err := p.Store.Delete(t.Context(), p.Store.(*memstore.Store).Keys()...); err != nil {
		t.Fatal(err)
	}
	other := primary.New(t, p.Store, primary.Options{Pragmas: []string{"auto_vacuum=incremental"}})
	for range 5 {
		fill(other, 100)
		other.Sync()
	}
	waitFor(t, db, other.TXID)
	other.CheckSame(other.TXID, db)
	hydrateNow(t, db)
	other.CheckSame(other.TXID, db)
	db.Close()
	checkFile(t, other, path, other.TXID)
}

// TestHydration_LazyIsAWarmStart: without the background walk a second process needs no request for what the first has read.
func TestHydration_LazyIsAWarmStart(t *testing.T) {
	t.Parallel()
	p := primary.New(t, new(memstore.Store), primary.Options{})
	fillLarge(p)
	p.Sync()
	p.Snapshot()
	store := &slowStore{Store: p.Store}
	path := filepath.Join(t.TempDir(), "app.db")
	const work = "SELECT length(x) FROM a WHERE id IN (10, 700, 1400)"
	visit := func() (gets int64) {
		t.Helper()
		db, err := litefss3.OpenDB(litefss3.Config{
			Store: store, ReplicaURL: "mem:lazy", PollInterval: -1,
			Hydration: hydrate.Options{Path: path, Mode: hydrate.Lazy},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		value(t, db, "PRAGMA schema_version")
		before := store.gets.Load()
		value(t, db, work)
		if got := value(t, db, "PRAGMA litestream_hydration_progress"); got == "100" {
			t.Error("lazy, and everything is local")
		}
		return store.gets.Load() - before
	}
	if visit() == 0 {
		t.Fatal("the first visit took no request; the test looks at nothing")
	}
	p.Exec("UPDATE b SET y = 'changed' WHERE id = 3")
	p.Sync()
	p.Snapshot()
	if n := visit(); n != 0 {
		t.Errorf("%d requests for what a process before has read", n)
	}
}

func TestHydration_Settings(t *testing.T) {
	t.Parallel()
	p := newPrimary(t, 100)
	plain := open(t, p.Store)
	if _, err := plain.Exec("PRAGMA litestream_hydrate = 'start'"); err == nil || !strings.Contains(err.Error(), "hydration_enabled=1") {
		t.Errorf("start without a copy: %v", err)
	}
	if got := value(t, plain, "PRAGMA litestream_hydration_progress"); got != "0" {
		t.Errorf("progress without a copy: %q", got)
	}
	db := open(t, p.Store, hydrated(""), func(c *litefss3.Config) { c.ReplicaURL += "-temporary" })
	for _, q := range []string{"PRAGMA litestream_hydrate = 'begin'", "PRAGMA litestream_hydration_progress = 5", "PRAGMA litestream_hydrate = 'tables='"} {
		if _, err := db.Exec(q); err == nil {
			t.Errorf("%s: no error", q)
		}
	}
	if _, err := db.Exec("PRAGMA litestream_hydrate = 'tables=a, b'"); err != nil {
		t.Error(err)
	}
	strange := filepath.Join(t.TempDir(), "mine.db")
	if err := os.WriteFile(strange, []byte("somebody's only copy"), 0o600); err != nil {
		t.Fatal(err)
	}
	bad := open(t, p.Store, hydrated(strange), func(c *litefss3.Config) { c.ReplicaURL += "-bad"; c.Store = &slowStore{Store: p.Store} })
	if err := bad.Ping(); err == nil || !strings.Contains(err.Error(), "not a local copy") {
		t.Errorf("a file that is not ours: %v", err)
	}
	if b, _ := os.ReadFile(strange); string(b) != "somebody's only copy" {
		t.Error("a file that is not ours was written to")
	}
	for params, want := range map[string]string{
		"hydration_enabled=maybe":                     "yes or no",
		"hydration_mode=eager":                        "full",
		"hydration_mode=full&hydration_max_size=1MiB": "hydration_mode=lazy",
		"hydration_pat=x":                             "hydration_path",
		"hydration_bandwidth=fast":                    "not a size",
	} {
		name := "hydration-settings-" + params
		if err := litefss3.Register("h.db", litefss3.Config{Store: &slowStore{Store: p.Store}, ReplicaURL: name, Hydrate: true}); err != nil {
			t.Fatal(err)
		}
		db, err := sql.Open("sqlite3", "file:h.db?vfs=litefs-s3&"+params)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Ping(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", params, err, want)
		}
		db.Close()
	}
	litefss3.Unregister("h.db")
}
