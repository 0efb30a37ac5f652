package hydrate

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/superfly/ltx"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/integration/primary"
	"github.com/litefs-s3/litefs-s3/internal/btree"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

// H3: every body is cut after 64 KiB, or idles for ever: hydration completes, and says what held it up.
func TestH3_ConnectionsThatBreak(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		read func() func(ctx context.Context, key string, size int64) error
		say  string
	}{
		{name: "cut after 64 KiB", say: "cut", read: func() func(context.Context, string, int64) error {
			return func(_ context.Context, _ string, size int64) error {
				if size > 64<<10 {
					return fmt.Errorf("body was cut: %w", objstore.ErrTemporary)
				}
				return nil
			}
		}},
		{name: "idle after 64 KiB", say: "no answer within 1m0s", read: func() func(context.Context, string, int64) error {
			return func(ctx context.Context, _ string, size int64) error {
				if size > 64<<10 {
					<-ctx.Done()
					return ctx.Err()
				}
				return nil
			}
		}},
		{name: "down for an hour", say: "refused", read: func() func(context.Context, string, int64) error {
			begin := sync.OnceValue(time.Now)
			return func(context.Context, string, int64) error {
				if time.Since(begin()) < time.Hour {
					return errors.New("connection refused")
				}
				return nil
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := newReplica(t, 10_000)
			synctest.Test(t, func(t *testing.T) {
				r.count.hook(tc.read())
				var log logs
				c := r.open(Options{Path: r.path(), Log: log.logger(), Concurrency: 2})
				time.Sleep(30 * time.Second)
				if err := c.Progress().Err; tc.name == "down for an hour" && (err == nil || c.Progress().State != Hydrating) {
					t.Errorf("after 30 seconds: %+v", c.Progress())
				}
				must(t, c.Wait(t.Context()))
				r.checkAll(c, r.View())
				log.check(t, tc.say)
				if err := c.Progress().Err; err != nil {
					t.Errorf("in the end: %v", err)
				}
				must(t, c.Close())
			})
		})
	}
}

// A frame that cannot be decoded holds up no other page, and is what Progress says.
func TestWalk_OneBadFrame(t *testing.T) {
	t.Parallel()
	r := newReplica(t, 3000)
	v := r.View()
	bad, _ := v.Lookup(v.Commit / 2)
	b := r.primary.Read(0, 1, 1)
	good := bytes.Clone(b)
	copy(b[bad.Frame.Off+6:], "xxxxxxxx")
	put := func(b []byte) {
		_, err := r.mem.Put(t.Context(), bad.Frame.File.Key(), bytes.NewReader(b), objstore.PutOptions{})
		must(t, err)
	}
	put(b)
	r.follower = follow(t, r.count)
	v = r.View()
	c := r.open(Options{Path: r.path()})
	until(t, func() bool { p := c.Progress(); return p.Present == p.Total-1 && p.Err != nil })
	if err := c.Progress().Err; !errors.Is(err, index.ErrCorrupt) {
		t.Errorf("progress says %v", err)
	}
	if n := checkPages(t, c, v, r.primary.Image(v.TXID)); n != int(v.Commit)-1 {
		t.Errorf("%d of %d pages are local", n, v.Commit)
	}
	put(good)
}

// Files are merged away under the walk: it finds the pages in those that took their place.
func TestWalk_FilesVanish(t *testing.T) {
	t.Parallel()
	r := newReplica(t, 6000)
	for range 10 {
		r.commit(300)
	}
	r.poll(t)
	first := true
	r.count.hook(func(context.Context, string, int64) error {
		if first { // by one worker
			first = false
			r.primary.Compact(1, 1, r.primary.TXID)
			r.primary.Expire(0, r.primary.TXID)
		}
		return nil
	})
	c := r.open(Options{Path: r.path(), Concurrency: 1, goodRange: 64 << 10})
	wait(t, c)
	r.checkAll(c, r.View())
}

// No byte is fetched twice, and hardly one that is not wanted, although files overlap. When changes lie scattered all over the
// database, bytes are given for requests.
func TestWalk_FetchesNoByteTwice(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		index   bool // whose pages each update changes at random
		percent int64
	}{
		{name: "changes lie together", percent: 105},
		{name: "changes lie scattered", index: true, percent: 120},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := newReplica(t, 6000)
			if !tc.index {
				r.primary.Exec(`DROP INDEX tv`)
			}
			r.primary.Exec(`CREATE TABLE log(id INTEGER PRIMARY KEY, v)`)
			r.primary.Sync()
			r.primary.Snapshot()
			for n := range 120 {
				r.primary.Exec(`INSERT INTO log(v) SELECT randomblob(400) FROM t LIMIT 40`)
				r.primary.Exec(`UPDATE t SET v=hex(randomblob(50)) WHERE id BETWEEN ? AND ?`, 40*n, 40*n+20)
				r.primary.Sync()
				if n%30 == 29 {
					r.primary.Compact(1, r.primary.TXID-29, r.primary.TXID)
				}
			}
			r.primary.Compact(2, 3, r.primary.TXID-30)
			r.follower = follow(t, r.count)
			v := r.View()
			r.count.reset()
			c := r.open(Options{Path: r.path()})
			wait(t, c)
			r.checkAll(c, v)
			got, want, twice, gets := r.count.bytes.Load(), occupied(v), r.count.twice(), r.count.gets.Load()
			t.Logf("%d bytes fetched, %d wanted, %d twice, %d GETs, %d files", got, want, twice, gets, len(v.Files()))
			if got > want*tc.percent/100 || twice > want/100 {
				t.Errorf("%d bytes were fetched, %d of them twice; %d are wanted", got, twice, want)
			}
			if gets > 2*between.Free+want/goodRange {
				t.Errorf("%d GETs", gets)
			}
			var all int64
			for _, f := range v.Files() {
				all += f.Size
			}
			if all < want*11/10 {
				t.Errorf("the chain of %d bytes does not overlap: %d are wanted", all, want)
			}
		})
	}
}

// The b-trees of given tables come first, overflow pages and indexes included.
func TestWalk_TablesFirst(t *testing.T) {
	t.Parallel()
	for _, encoding := range []string{"UTF-8", "UTF-16le"} {
		t.Run(encoding, func(t *testing.T) {
			t.Parallel()
			r := newReplicaWith(t, new(memstore.Store), 20_000, primary.Options{PageSize: 1024, Pragmas: []string{fmt.Sprintf("encoding=%q", encoding)}})
			r.primary.Exec(`CREATE TABLE "Wanted"(id INTEGER PRIMARY KEY, v, w)`)
			r.primary.Exec(`CREATE INDEX wi ON wanted(v)`)
			r.primary.Exec(`INSERT INTO wanted(v, w) SELECT v, CASE WHEN id%50=0 THEN randomblob(20000) END FROM t LIMIT 2000`)
			r.insert(2000)
			r.primary.Sync()
			r.poll(t)
			c := r.openOnly(Options{Path: r.path(), Mode: Lazy, Concurrency: 2})
			ctx := ownOnly(t, c)
			w := newWalker(c, t.Context().Done())
			v := r.View()
			if err := w.trees(ctx, v, []string{"wanted", "nonsense"}, false); err != nil {
				t.Fatal(err)
			}
			present := c.picture.Load().present
			wanted := r.pagesOf("wanted")
			for _, pgno := range wanted {
				if !present.has(pgno) {
					t.Errorf("page %d is not local", pgno)
				}
			}
			if n := present.count(); n > len(wanted)+int(v.Commit)/4 {
				t.Errorf("%d of %d pages are local, the tables have %d", n, v.Commit, len(wanted))
			}
		})
	}
}

// ownOnly runs the owner of c without the walk, until the end of the test.
func ownOnly(t *testing.T, c *Copy) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { c.own(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return ctx
}

// pagesOf returns the pages of a table of the primary's last image, indexes included: those that SQLite wipes out when it is dropped.
func (r *replica) pagesOf(table string) (pgnos []uint32) {
	r.t.Helper()
	before := r.primary.Image(r.primary.TXID)
	path := filepath.Join(r.t.TempDir(), "image.db")
	must(r.t, os.WriteFile(path, before, 0o600))
	db, err := sql.Open("sqlite3", "file:"+path)
	must(r.t, err)
	db.SetMaxOpenConns(1)
	for _, stmt := range []string{"PRAGMA secure_delete=ON", "DROP TABLE " + table} {
		_, err := db.Exec(stmt)
		must(r.t, err)
	}
	must(r.t, db.Close())
	after, err := os.ReadFile(path)
	must(r.t, err)
	size := int(r.View().PageSize)
	for off := size; off < len(before); off += size { // page 1 has the schema
		if !bytes.Equal(before[off:off+size], after[off:off+size]) {
			pgnos = append(pgnos, uint32(off/size)+1)
		}
	}
	return pgnos
}

// The upper parts of all trees come before everything else, in few requests.
func TestWalk_UpperPagesFirst(t *testing.T) {
	t.Parallel()
	r := newReplicaWith(t, new(memstore.Store), 20_000, primary.Options{PageSize: 1024})
	r.count.reset()
	c := r.openOnly(Options{Path: r.path(), Mode: Lazy, Concurrency: 2})
	ctx := ownOnly(t, c)
	w := newWalker(c, t.Context().Done())
	v := r.View()
	must(t, w.trees(ctx, v, nil, true))
	interior, local := 0, 0
	image := r.primary.Image(v.TXID)
	for pgno := uint32(1); pgno <= v.Commit; pgno++ {
		page := image[pageOffset(pgno, 1024):pageOffset(pgno+1, 1024)]
		if n, ok := btree.Parse(page, pgno, 1024); ok && n.Interior() {
			interior++
			if c.picture.Load().present.has(pgno) {
				local++
			}
		}
	}
	if gets := r.count.gets.Load(); gets > upperRequests+8 || interior == 0 || local < interior/4 {
		t.Errorf("%d of %d interior pages are local after %d GETs", local, interior, gets)
	}
	t.Logf("%d of %d interior pages of %d, %d GETs", local, interior, v.Commit, r.count.gets.Load())
}

// Bandwidth is a bound.
func TestWalk_Bandwidth(t *testing.T) {
	t.Parallel()
	r := newReplica(t, 10_000)
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		const rate = 100 << 10
		c := r.open(Options{Path: r.path(), Bandwidth: rate, goodRange: minRange})
		must(t, c.Wait(t.Context()))
		took := time.Since(begin)
		least := time.Duration(float64(c.Progress().Bytes) / rate * 0.7 * float64(time.Second))
		if took < least || took > 3*least {
			t.Errorf("%d bytes took %s", c.Progress().Bytes, took)
		}
		must(t, c.Close())
	})
}

// A database beyond 1 GiB has a page that is never stored. (This one is sparse, and mostly zeros.)
func TestCopy_LockPage(t *testing.T) {
	if testing.Short() {
		t.Skip("a database of a gigabyte")
	}
	store := new(memstore.Store)
	const pageSize, beyond = 65536, 3
	lock := ltx.LockPgno(pageSize)
	pages := map[uint32][]byte{}
	zero := make([]byte, pageSize)
	for pgno := uint32(1); pgno <= lock+beyond; pgno++ {
		if pgno != lock {
			pages[pgno] = zero
		}
	}
	last := bytes.Repeat([]byte{7}, pageSize)
	pages[lock+beyond] = last
	b, err := primary.Encode(ltx.Header{
		Version: ltx.Version, Flags: ltx.HeaderFlagNoChecksum, PageSize: pageSize, Commit: lock + beyond, MinTXID: 1, MaxTXID: 1,
		Timestamp: 1, WALOffset: 32,
	}, pages)
	must(t, err)
	f := index.File{Min: 1, Max: 1}
	_, err = store.Put(t.Context(), f.Key(), bytes.NewReader(b), objstore.PutOptions{})
	must(t, err)
	r := &replica{t: t, mem: store, count: &counter{Store: store}}
	r.follower = follow(t, r.count)
	path := r.path()
	c := r.open(Options{Path: path})
	wait(t, c)
	page := make([]byte, pageSize)
	v := r.View()
	if version, ok := v.Version(v.Commit); !ok || !c.ReadPage(v, v.Commit, version, page) || !bytes.Equal(page, last) {
		t.Error("the last page is not right")
	}
	if c.ReadPage(v, lock, 1, page) {
		t.Error("the lock page was served")
	}
	must(t, c.Close())
	info, err := os.Stat(path)
	must(t, err)
	if info.Size() != int64(lock+beyond)*pageSize {
		t.Errorf("the file has %d bytes", info.Size())
	}
	must(t, os.Remove(path))
}

// A file that goes while others write what came of it must not leave pages that nobody may write any more.
func TestWalk_FileGoesWhilePagesAreWritten(t *testing.T) {
	t.Parallel()
	for range 5 {
		r := newReplica(t, 4000)
		var reads atomic.Int64
		merge := sync.OnceFunc(func() {
			r.primary.Compact(1, 1, r.primary.TXID)
			r.primary.Expire(0, r.primary.TXID)
		})
		r.count.hook(func(context.Context, string, int64) error {
			if reads.Add(1) == 5 {
				merge()
			}
			return nil
		})
		slow := func(op string) error {
			if op == "write" {
				time.Sleep(3 * time.Millisecond)
			}
			return nil
		}
		c := r.open(Options{Path: r.path(), goodRange: minRange, faults: slow})
		wait(t, c)
		r.checkAll(c, r.View())
	}
}
