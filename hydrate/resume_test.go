package hydrate

import (
	"bytes"
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/litefs-s3/litefs-s3/integration/primary"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

// H2: a copy is closed; a thousand transactions later level 0 is gone. The first read of the next process is right, and only
// what has changed is fetched.
func TestH2_ResumedAfterLevelZeroIsGone(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		between func(r *replica, n int)
		grown   bool // the database ends larger or smaller than it was
	}{
		{name: "updates", between: func(r *replica, n int) {}},
		{name: "a shrink in between", grown: true, between: func(r *replica, n int) {
			switch n {
			case 300:
				r.primary.Exec(`DELETE FROM t WHERE id>400`)
				r.primary.Exec(`VACUUM`)
			case 700:
				r.insert(300)
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := newReplicaWith(t, new(memstore.Store), 800, primary.Options{PageSize: 1024})
			r.primary.Exec(`CREATE TABLE u(id INTEGER PRIMARY KEY, v)`)
			r.primary.Exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<100) INSERT INTO u SELECT i, 0 FROM n`)
			r.primary.Sync()
			r.primary.Snapshot()
			r.poll(t)
			path := r.path()
			c := r.open(Options{Path: path})
			wait(t, c)
			must(t, c.Close())
			r.copy.Store(nil)

			closed := r.primary.TXID
			for n := range 1000 {
				r.primary.Exec(`UPDATE u SET v=v+1 WHERE id=?`, 1+n%100)
				tc.between(r, n)
				r.primary.Sync()
				if n%50 == 49 {
					r.primary.Compact(1, closed+1, r.primary.TXID)
					r.primary.Expire(0, r.primary.TXID)
					closed = r.primary.TXID
				}
			}
			r.follower = follow(t, r.count) // another process
			v := r.View()
			changed, ok, err := r.Since(t.Context(), v, c.Progress().TXID, c.state(newBitmap(0), stamp{}).files)
			if err != nil || !ok {
				t.Fatal(ok, err)
			}
			var worth int64
			for pgno := range changed {
				if p, ok := v.Lookup(pgno); ok {
					worth += p.Frame.Size
				}
			}

			var log logs
			d := r.openOnly(Options{Path: path, Log: log.logger()})
			log.check(t, "local copy found")
			kept := checkPages(t, d, v, r.primary.Image(v.TXID))
			if !tc.grown && kept < int(v.Commit)*9/10 {
				t.Errorf("%d of %d pages were kept", kept, v.Commit)
			}
			r.count.reset()
			go d.Run(context.Background())
			wait(t, d)
			r.checkAll(d, v)
			if got := d.Progress().Bytes; got > worth*105/100 {
				t.Errorf("%d bytes were fetched for changes of %d", got, worth)
			}
			t.Logf("%d of %d pages kept, %d GETs, %d bytes", kept, v.Commit, r.count.gets.Load(), r.count.bytes.Load())
			must(t, d.Close())
			r.checkFile(path, v.TXID)
		})
	}
}

// A copy whose process is gone after a third is taken up where it was.
func TestResume_AfterAThird(t *testing.T) {
	t.Parallel()
	r := newReplica(t, 6000)
	path := r.path()
	stop := make(chan struct{})
	let := occupied(r.View()) * 3 / 4
	r.count.hook(func(ctx context.Context, key string, size int64) error {
		if let -= size; let > 0 { // by one worker
			return nil
		}
		select {
		case <-stop:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	c := r.open(Options{Path: path, Concurrency: 1, goodRange: 64 << 10, saveEvery: time.Millisecond})
	until(t, func() bool { p := c.Progress(); return p.Present > p.Total/3 })
	before := c.Progress()
	must(t, c.Close())
	close(stop)

	v := r.View()
	d := r.openOnly(Options{Path: path})
	if got := d.Progress().Present; got < before.Present {
		t.Errorf("%d pages were kept of %d", got, before.Present)
	}
	missing := look(v, d.picture.Load().present.missing(v.Commit)).wanted
	r.count.reset()
	go d.Run(t.Context())
	wait(t, d)
	r.checkAll(d, v)
	if got := r.count.bytes.Load(); got > missing*105/100 {
		t.Errorf("%d bytes were fetched, %d were missing", got, missing)
	}
}

// What cannot be used is thrown away, and said so; what is not ours is not touched.
func TestResume_Unfit(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		spoil func(t *testing.T, r *replica, path string)
		say   string
		err   error
	}{
		{name: "state file damaged", say: "state file is damaged", spoil: func(t *testing.T, r *replica, path string) {
			b, err := os.ReadFile(path + stateSuffix)
			must(t, err)
			b[len(b)/2] ^= 1
			must(t, os.WriteFile(path+stateSuffix, b, 0o600))
		}},
		{name: "somebody wrote to the file", say: "somebody else", spoil: func(t *testing.T, r *replica, path string) {
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			must(t, err)
			_, err = f.WriteAt([]byte("x"), 5000)
			must(t, err)
			must(t, f.Close())
			must(t, os.Chtimes(path, time.Time{}, time.Now().Add(time.Second)))
		}},
		{name: "another history", say: "another history", spoil: func(t *testing.T, r *replica, path string) {
			old := r.primary
			for _, key := range r.mem.(*memstore.Store).Keys() {
				must(t, r.mem.Delete(t.Context(), key))
			}
			r.primary = primary.New(t, r.mem, primary.Options{})
			r.primary.Exec(`CREATE TABLE other(x)`)
			for r.primary.TXID < old.TXID {
				r.primary.Exec(`INSERT INTO other VALUES(1)`)
				r.primary.Sync()
			}
		}},
		{name: "another page size", say: "have 4096 bytes", spoil: func(t *testing.T, r *replica, path string) {
			for _, key := range r.mem.(*memstore.Store).Keys() {
				must(t, r.mem.Delete(t.Context(), key))
			}
			r.primary = primary.New(t, r.mem, primary.Options{PageSize: 1024})
			r.primary.Exec(`CREATE TABLE other(x)`)
			r.primary.Sync()
		}},
		{name: "state file missing", err: ErrNotACopy, spoil: func(t *testing.T, r *replica, path string) {
			must(t, os.Remove(path+stateSuffix))
		}},
		{name: "database file missing", say: "local copy found", spoil: func(t *testing.T, r *replica, path string) {
			b, err := os.ReadFile(path + stateSuffix)
			must(t, err)
			s, err := decodeState(b)
			must(t, err)
			s.closed = stamp{} // as after a crash
			must(t, os.WriteFile(path+stateSuffix, s.encode(), 0o600))
			must(t, os.Remove(path))
		}},
		{name: "an empty file", spoil: func(t *testing.T, r *replica, path string) {
			must(t, os.Remove(path+stateSuffix))
			must(t, os.Truncate(path, 0))
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := newReplica(t, 300)
			path := r.path()
			c := r.open(Options{Path: path})
			wait(t, c)
			must(t, c.Close())
			tc.spoil(t, r, path)
			before, _ := os.ReadFile(path)

			r.follower = follow(t, r.count)
			var log logs
			d, err := Open(t.Context(), r.count, "mem://replica", r.View(), r.follower, Options{Path: path, Log: log.logger()})
			if !errors.Is(err, tc.err) {
				t.Fatalf("Open: %v, want %v", err, tc.err)
			}
			if err != nil {
				if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
					t.Error("a file that is not ours was written to")
				}
				return
			}
			defer d.Close()
			log.check(t, tc.say)
			if n := checkPages(t, d, r.View(), r.primary.Image(r.View().TXID)); n != 0 {
				t.Errorf("%d pages were kept", n)
			}
			go d.Run(context.Background())
			wait(t, d)
			r.checkAll(d, r.View())
			must(t, d.Close())
			r.checkFile(path, r.View().TXID)
		})
	}
}
