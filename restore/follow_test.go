package restore

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/litefs-s3/litefs-s3/bulk"
	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/integration/primary"
)

// following is a Follow under way.
type following struct {
	t    testing.TB
	path string
	head *index.Tracker
	stop context.CancelFunc
	done chan error
	news chan Update
	last index.TXID // that wait has seen
	log  *logs
}

// logs is a log that keeps its lines.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

// tail is the end of what was logged.
func (l *logs) tail() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.buf.Bytes()[max(0, l.buf.Len()-4000):])
}

func startFollow(t testing.TB, store index.Reader, path string, opts FollowOptions) *following {
	t.Helper()
	tr := open(t, store)
	ctx, cancel := context.WithCancel(context.Background())
	f := &following{t: t, path: path, head: tr, stop: cancel, done: make(chan error, 1), news: make(chan Update, 1000), log: new(logs)}
	opts.Log = slog.New(slog.NewTextHandler(f.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	opts.PollInterval = time.Millisecond
	opts.OnUpdate = func(u Update) { f.news <- u }
	go func() { f.done <- Follow(ctx, bulk.Source{Store: store, Mover: tr}, tr, path, opts) }()
	t.Cleanup(cancel)
	return f
}

// wait waits until the file is at txid, and returns what was fetched for it.
func (f *following) wait(txid index.TXID) (fetched int64) {
	f.t.Helper()
	timeout := time.After(time.Minute)
	for f.last != txid { // equal when a transaction changed nothing
		select {
		case u := <-f.news:
			fetched += u.Fetched
			f.last = u.TXID
		case err := <-f.done:
			f.t.Fatalf("follow ended: %v", err)
		case <-timeout:
			f.t.Fatalf("the file never came to %s, it is at %s; the head is %s: %+v\n%s",
				txid, f.last, f.head.View().TXID, f.head.State(), f.log.tail())
		}
	}
	return fetched
}

// end stops it and checks that it ended well.
func (f *following) end() {
	f.t.Helper()
	f.stop()
	must(f.t, <-f.done)
}

func followTo(t testing.TB, r *replica, path string, txid index.TXID) (fetched int64) {
	t.Helper()
	f := startFollow(t, r.store, path, FollowOptions{})
	fetched = f.wait(txid)
	f.end()
	return fetched
}

// The file is the database at each moment in turn, through growth, VACUUM and compaction.
func TestFollow_EveryMoment(t *testing.T) {
	t.Parallel()
	for _, opts := range []primary.Options{small, {PageSize: 4096, Pragmas: []string{"auto_vacuum=full"}}, {PageSize: 65536}} {
		r := newReplica(t, newMem(), opts)
		path := newTarget(t)
		f := startFollow(t, r.store, path, FollowOptions{})
		f.wait(1)
		for range 40 {
			txid := r.commit()
			f.wait(txid)
			same(t, path, r.primary.Image(txid), true)
			if r.rnd.IntN(3) == 0 {
				r.merge()
			}
		}
		sound(t, path)
		f.end()
		alone(t, filepath.Dir(path), "app.db", "app.db"+stateSuffix)
	}
}

// Other programs read the file with SQLite meanwhile: each of their transactions sees one moment, and they see news.
func TestFollow_ReadersBeside(t *testing.T) {
	t.Parallel()
	r := newReplica(t, newMem(), small)
	r.primary.Exec(`CREATE TABLE sums(n, total)`)
	r.primary.Exec(`INSERT INTO sums SELECT count(*), sum(length(v)) FROM t`)
	first := r.primary.Sync()
	path := newTarget(t)
	f := startFollow(t, r.store, path, FollowOptions{})
	f.wait(first)
	ctx, cancel := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	seen := make([]map[int]bool, 3)
	for i := range seen {
		seen[i] = map[int]bool{}
		readers.Go(func() { readMoments(ctx, t, path, seen[i]) })
	}
	last := first
	for range 60 {
		r.primary.Exec(`INSERT INTO t(v) VALUES (hex(randomblob(?)))`, 1+r.rnd.IntN(3000))
		if r.rnd.IntN(8) == 0 {
			r.primary.Exec(`DELETE FROM t WHERE id%4=?`, r.rnd.IntN(4))
		}
		r.primary.Exec(`UPDATE sums SET n=(SELECT count(*) FROM t), total=(SELECT sum(length(v)) FROM t)`)
		last = r.primary.Sync()
		time.Sleep(2 * time.Millisecond)
	}
	f.wait(last)
	cancel()
	readers.Wait()
	f.end()
	same(t, path, r.primary.Image(last), true)
	moments := 0
	for _, s := range seen {
		moments = max(moments, len(s))
	}
	if moments < 3 {
		t.Errorf("readers saw %d different moments", moments)
	}
}

// readMoments reads through one connection, so that SQLite's cache lives on, until ctx ends.
func readMoments(ctx context.Context, t *testing.T, path string, seen map[int]bool) {
	db := sqlite(t, path)
	defer db.Close()
	db.SetMaxOpenConns(1)
	for ctx.Err() == nil {
		tx, err := db.Begin()
		if err != nil {
			t.Error(err)
			return
		}
		var n, total, count, sum, viaIndex int
		err = errors.Join(
			tx.QueryRow(`SELECT n, total FROM sums`).Scan(&n, &total),
			tx.QueryRow(`SELECT count(*), sum(length(v)) FROM t NOT INDEXED`).Scan(&count, &sum),
			tx.QueryRow(`SELECT count(*) FROM t INDEXED BY tv WHERE v>=''`).Scan(&viaIndex),
			tx.Rollback(),
		)
		if err != nil || count != n || sum != total || viaIndex != n {
			t.Errorf("not one moment of the database: %d rows of %d bytes, the table says %d of %d, the index %d: %v", count, sum, n, total, viaIndex, err)
			return
		}
		seen[n*1_000_000+total] = true
	}
}

// A reader that stays in its transaction keeps its moment; the file goes on when it is done.
func TestFollow_WaitsForReaders(t *testing.T) {
	t.Parallel()
	r := newReplica(t, newMem(), small)
	path := newTarget(t)
	f := startFollow(t, r.store, path, FollowOptions{lockWait: 20 * time.Millisecond})
	f.wait(1)
	db := sqlite(t, path)
	defer db.Close()
	tx, err := db.Begin()
	must(t, err)
	var before, after int
	must(t, tx.QueryRow(`SELECT count(*) FROM t`).Scan(&before))
	r.insert(50)
	txid := r.primary.Sync()
	time.Sleep(200 * time.Millisecond) // some attempts; if there were none the test says less, not something else
	must(t, tx.QueryRow(`SELECT count(*) FROM t NOT INDEXED`).Scan(&after))
	must(t, tx.Rollback())
	if before != after {
		t.Errorf("a transaction saw %d and then %d rows", before, after)
	}
	f.wait(txid)
	must(t, db.QueryRow(`SELECT count(*) FROM t`).Scan(&after))
	if after != before+50 {
		t.Errorf("the same connection sees %d rows afterwards", after)
	}
	f.end()
	same(t, path, r.primary.Image(txid), true)
}

// Begun again it fetches what has changed, and nothing when nothing has; compaction in between does not matter.
func TestFollow_Resumes(t *testing.T) {
	t.Parallel()
	r := newReplica(t, newMem(), small)
	r.insert(2000)
	txid := r.primary.Sync()
	path := newTarget(t)
	all := followTo(t, r, path, txid)
	if again := followTo(t, r, path, txid); again != 0 {
		t.Errorf("%d bytes were fetched for nothing new", again)
	}
	for range 8 {
		r.update(2)
		txid = r.primary.Sync()
	}
	r.compact(1)
	if some := followTo(t, r, path, txid); some == 0 || some > all/2 {
		t.Errorf("%d bytes were fetched, all are %d", some, all)
	}
	same(t, path, r.primary.Image(txid), true)

	r.commit() // and now with nothing left that tells what has changed
	txid = r.commit()
	r.compact(1)
	r.primary.Snapshot()
	for level := range 4 {
		r.primary.Expire(level, txid)
	}
	followTo(t, r, path, txid)
	same(t, path, r.primary.Image(txid), true)
	sound(t, path)
}

// R10: another database under the same prefix, with a higher TXID or a lower one, before and while it is followed.
func TestFollow_AnotherHistory(t *testing.T) {
	t.Parallel()
	for _, commits := range []int{2, 30} {
		mem := newMem()
		r := newReplica(t, mem, small)
		for range 10 {
			r.commit()
		}
		path := newTarget(t)
		followTo(t, r, path, r.primary.TXID)
		must(t, mem.Delete(t.Context(), mem.Keys()...))
		other := newReplica(t, mem, small)
		for range commits {
			other.commit()
		}
		f := startFollow(t, mem, path, FollowOptions{})
		f.wait(other.primary.TXID)
		f.last = 0
		same(t, path, other.primary.Image(other.primary.TXID), true)
		must(t, mem.Delete(t.Context(), mem.Keys()...))
		third := newReplica(t, mem, small)
		third.primary.Snapshot()
		_ = f.head.Refresh(t.Context()) // suspects that the listing is late
		_ = f.head.Refresh(t.Context())
		f.wait(third.primary.TXID)
		f.end()
		same(t, path, third.primary.Image(third.primary.TXID), true)
		sound(t, path)
	}
}

// A file that somebody has written to is left as it is, unless it may be replaced.
func TestFollow_NotOurs(t *testing.T) {
	t.Parallel()
	r := newReplica(t, newMem(), small)
	tr := open(t, r.store)
	src := bulk.Source{Store: r.store, Mover: tr}
	path := newTarget(t)
	must(t, os.WriteFile(path, []byte("precious"), 0o600))
	if err := Follow(t.Context(), src, tr, path, FollowOptions{}); !errors.Is(err, ErrExists) {
		t.Errorf("a foreign file: %v", err)
	}
	must(t, os.Remove(path))
	followTo(t, r, path, 1)
	db := sqlite(t, path)
	_, err := db.Exec(`CREATE TABLE mine(x)`)
	must(t, err)
	must(t, db.Close())
	mine, err := os.ReadFile(path)
	must(t, err)
	if err := Follow(t.Context(), src, tr, path, FollowOptions{}); !errors.Is(err, ErrNotOurs) {
		t.Errorf("a file with a table of its own: %v", err)
	}
	if now, _ := os.ReadFile(path); !bytes.Equal(now, mine) {
		t.Error("it was written to all the same")
	}
	f := startFollow(t, r.store, path, FollowOptions{Existing: Replace})
	f.wait(1)
	same(t, path, r.primary.Image(1), true)

	db = sqlite(t, path) // while it is followed
	_, err = db.Exec(`CREATE TABLE mine(x)`)
	must(t, err)
	must(t, db.Close())
	r.commit()
	if err := <-f.done; !errors.Is(err, ErrNotOurs) {
		t.Errorf("written to meanwhile: %v", err)
	}
}

// Two cannot follow into one file, and a restore does not take it away.
func TestFollow_InUse(t *testing.T) {
	t.Parallel()
	r := newReplica(t, newMem(), small)
	path := newTarget(t)
	f := startFollow(t, r.store, path, FollowOptions{})
	f.wait(1)
	tr := open(t, r.store)
	src := bulk.Source{Store: r.store, Mover: tr}
	for _, how := range []Existing{Refuse, Replace} {
		if err := Follow(t.Context(), src, tr, path, FollowOptions{Existing: how}); !errors.Is(err, ErrInUse) {
			t.Errorf("a second Follow, %v: %v", how, err)
		}
	}
	if _, err := File(t.Context(), src, tr.View(), path, Options{Existing: Replace}); !errors.Is(err, ErrInUse) {
		t.Errorf("a restore: %v", err)
	}
	txid := r.commit()
	f.wait(txid)
	f.end()
}

// Whatever is done to files fails once: the file stays sound, and the next attempt brings it up to date.
func TestFollow_EveryFileFault(t *testing.T) {
	t.Parallel()
	r := newReplica(t, newMem(), small)
	path := newTarget(t)
	followTo(t, r, path, 1)
	broken := errors.New("broken disk")
	for n := 1; ; n++ {
		r.update(3)
		txid := r.primary.Sync()
		calls := 0
		f := startFollow(t, r.store, path, FollowOptions{faults: func(op string) error {
			if calls++; calls == n {
				return broken
			}
			return nil
		}})
		f.wait(txid)
		f.end()
		same(t, path, r.primary.Image(txid), true)
		if calls < n {
			return
		}
	}
}

// A journal that another program left is not touched: what it holds is needed by that program's way of writing.
func TestFollow_ForeignJournal(t *testing.T) {
	t.Parallel()
	r := newReplica(t, newMem(), small)
	path := newTarget(t)
	followTo(t, r, path, 1)
	foreign := append(bytes.Clone(journalMagic), make([]byte, 600)...)
	must(t, os.WriteFile(path+journalSuffix, foreign, 0o600))
	tr := open(t, r.store)
	if err := Follow(t.Context(), bulk.Source{Store: r.store, Mover: tr}, tr, path, FollowOptions{}); !errors.Is(err, ErrNotOurs) {
		t.Errorf("got %v", err)
	}
	must(t, os.Remove(path+journalSuffix))
	f := startFollow(t, r.store, path, FollowOptions{})
	f.wait(1)
	must(t, os.WriteFile(path+journalSuffix, foreign, 0o600)) // while it is followed
	r.commit()
	if err := <-f.done; !errors.Is(err, ErrNotOurs) {
		t.Errorf("meanwhile: %v", err)
	}
	if now, err := os.ReadFile(path + journalSuffix); err != nil || !bytes.Equal(now, foreign) {
		t.Errorf("the journal is %d bytes, %v", len(now), err)
	}
}
