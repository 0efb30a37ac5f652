package restore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/superfly/ltx"

	"github.com/litefs-s3/litefs-s3/bulk"
	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/integration/primary"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/faultstore"
)

// Every moment that can be opened is restored to the byte, whatever compaction has done, for every page size.
func TestFile_EveryMoment(t *testing.T) {
	t.Parallel()
	for _, pageSize := range []int{512, 1024, 4096, 65536} {
		t.Run(fmt.Sprint(pageSize), func(t *testing.T) {
			t.Parallel()
			r := newReplica(t, newMem(), primary.Options{PageSize: pageSize})
			for range 40 {
				r.commit()
				if r.rnd.IntN(3) == 0 {
					r.merge()
				}
			}
			tr := open(t, r.store)
			tl, err := tr.Timeline(t.Context())
			must(t, err)
			for _, txid := range tl.TXIDs() {
				v, err := tl.At(t.Context(), txid)
				must(t, err)
				path := newTarget(t)
				report, err := File(t.Context(), bulk.Source{Store: r.store, Mover: tr}, v, path, Options{})
				must(t, err)
				same(t, path, r.primary.Image(txid), false)
				alone(t, filepath.Dir(path), "app.db")
				if report.TXID != txid || report.Bytes != int64(len(r.primary.Image(txid))) {
					t.Errorf("report %+v", report)
				}
			}
		})
	}
}

// A restore fetches no byte twice, and few that it does not need; the plan says beforehand which.
func TestFile_FetchesOnlyTheNewest(t *testing.T) {
	t.Parallel()
	count := &counter{Store: newMem()}
	synthetic(t, count.Store, 10_000)
	tr := open(t, count.Store)
	v := tr.View()
	plan, err := NewPlan(v)
	must(t, err)
	path := newTarget(t)
	report, err := File(t.Context(), bulk.Source{Store: count, Mover: tr}, v, path, Options{})
	must(t, err)
	all, twice := count.bytes()
	wanted := occupied(v)
	if twice != 0 {
		t.Errorf("%d bytes were fetched twice", twice)
	}
	if all > wanted*105/100 {
		t.Errorf("%d bytes were fetched, the newest versions are %d", all, wanted)
	}
	if all != report.Fetched || all != plan.Fetch || plan.Requests != report.Requests {
		t.Errorf("fetched %d, the plan said %d; %d requests instead of %d; the report says %d", all, plan.Fetch, report.Requests, plan.Requests, report.Fetched)
	}
	t.Logf("%d requests, %.3f of the newest versions", report.Requests, float64(all)/float64(wanted))
}

// C2: files are merged and removed beneath a restore: it goes on in those that replace them, and does not fetch again what it has.
func TestC2_FilesGoAwayMeanwhile(t *testing.T) {
	t.Parallel()
	count := &counter{Store: newMem()}
	r := newReplica(t, count.Store, small)
	for range 12 {
		r.update(3)
		r.primary.Sync()
	}
	tr := open(t, count.Store)
	v := tr.View()
	var once sync.Once
	n := 0
	count.before = func(string) {
		if n++; n > 3 { // some of it is there already
			once.Do(func() { r.compact(1); r.expire(0) })
		}
	}
	path := newTarget(t)
	report, err := File(t.Context(), bulk.Source{Store: count, Mover: tr}, v, path, Options{Concurrency: 1})
	must(t, err)
	same(t, path, r.primary.Image(v.TXID), false)
	if report.Rehomed == 0 {
		t.Error("no file ever went away: the test tests nothing")
	}
}

// C2: against a compactor and a writer at full speed every restore of the head ends well.
func TestC2_CompactorAtFullSpeed(t *testing.T) {
	t.Parallel()
	count := &counter{Store: newMem()}
	r := newReplica(t, count.Store, small)
	var mu sync.Mutex // of r
	count.before = func(string) {
		mu.Lock()
		defer mu.Unlock()
		switch r.rnd.IntN(4) {
		case 0:
			r.update(2)
			r.primary.Sync()
		case 1:
			r.compact(1)
			r.expire(0)
		}
	}
	rehomed, restarts := int64(0), 0
	for n := 0; n < 15 || n < 200 && rehomed+int64(restarts) < 5; n++ {
		tr := open(t, count.Store)
		path := newTarget(t)
		opts := Options{Concurrency: 2, Newer: func(ctx context.Context) (*index.View, error) {
			err := tr.Refresh(ctx)
			return tr.View(), err
		}}
		report, err := File(t.Context(), bulk.Source{Store: count, Mover: tr}, tr.View(), path, opts)
		must(t, err)
		same(t, path, r.primary.Image(report.TXID), false)
		rehomed += report.Rehomed
		restarts += report.Restarts
	}
	if rehomed+int64(restarts) == 0 {
		t.Error("no file ever went away: the test tests nothing")
	}
	t.Logf("%d times in other files, %d times at a newer moment, head %d", rehomed, restarts, r.primary.TXID)
}

// C2: a moment that no files hold any more is an error, and leaves nothing.
func TestC2_MomentExpires(t *testing.T) {
	t.Parallel()
	r := newReplica(t, newMem(), small)
	r.commit()
	tr := open(t, r.store)
	v := tr.View()
	r.commit()
	r.compact(1)
	r.expire(0)
	path := newTarget(t)
	_, err := File(t.Context(), bulk.Source{Store: r.store, Mover: tr}, v, path, Options{})
	if !errors.Is(err, index.ErrViewExpired) {
		t.Errorf("got %v", err)
	}
	alone(t, filepath.Dir(path))
}

// C6: what is at the path is not written over, and neither is what SQLite would lay over the restored database.
func TestC6_RefusesToOverwrite(t *testing.T) {
	t.Parallel()
	r := newReplica(t, newMem(), small)
	tr := open(t, r.store)
	src := bulk.Source{Store: r.store, Mover: tr}
	for _, name := range []string{"app.db", "app.db-wal", "app.db-shm", "app.db-journal"} {
		path := newTarget(t)
		other := filepath.Join(filepath.Dir(path), name)
		must(t, os.WriteFile(other, []byte("precious"), 0o600))
		if _, err := File(t.Context(), src, tr.View(), path, Options{}); !errors.Is(err, ErrExists) {
			t.Errorf("%s: got %v", name, err)
		}
		if b, err := os.ReadFile(other); err != nil || string(b) != "precious" {
			t.Errorf("%s is %q, %v", name, b, err)
		}
		alone(t, filepath.Dir(path), name)
	}
	path := newTarget(t)
	must(t, os.Mkdir(path, 0o700))
	for _, how := range []Existing{Refuse, Replace} {
		if _, err := File(t.Context(), src, tr.View(), path, Options{Existing: how}); !errors.Is(err, ErrExists) {
			t.Errorf("a directory, %v: got %v", how, err)
		}
	}
}

// C6: a file that comes into being while the restore runs is not written over either.
func TestC6_SomebodyWasFaster(t *testing.T) {
	t.Parallel()
	r := newReplica(t, newMem(), small)
	tr := open(t, r.store)
	path := newTarget(t)
	opts := Options{faults: func(op string) error {
		if op == "rename" {
			return os.WriteFile(path, []byte("precious"), 0o600)
		}
		return nil
	}}
	if _, err := File(t.Context(), bulk.Source{Store: r.store}, tr.View(), path, opts); !errors.Is(err, ErrExists) {
		t.Errorf("got %v", err)
	}
	if b, _ := os.ReadFile(path); string(b) != "precious" {
		t.Errorf("the file is %d bytes", len(b))
	}
	alone(t, filepath.Dir(path), "app.db")
}

// C6: a replaced database leaves no -wal, -shm or -journal that SQLite would lay over the new one.
func TestC6_ReplaceRemovesWhatBelongedToTheOld(t *testing.T) {
	t.Parallel()
	r := newReplica(t, newMem(), small)
	tr := open(t, r.store)
	path := newTarget(t)
	old := sqlite(t, path) // a database with a real write-ahead log that was not checkpointed
	for _, q := range []string{"PRAGMA page_size=1024", "PRAGMA journal_mode=wal", "PRAGMA wal_autocheckpoint=0", "CREATE TABLE old(x)", "INSERT INTO old VALUES(randomblob(9000))"} {
		_, err := old.Exec(q)
		must(t, err)
	}
	wal, err := os.ReadFile(path + "-wal")
	must(t, err)
	must(t, old.Close())
	must(t, os.WriteFile(path+"-wal", wal, 0o600))
	must(t, os.WriteFile(path+"-journal", []byte("stale"), 0o600))
	must(t, os.Chmod(path, 0o640))
	_, err = File(t.Context(), bulk.Source{Store: r.store}, tr.View(), path, Options{Existing: Replace})
	must(t, err)
	same(t, path, r.primary.Image(r.primary.TXID), false)
	alone(t, filepath.Dir(path), "app.db")
	if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o640 {
		t.Errorf("its mode is %v, %v", info.Mode(), err)
	}
	sound(t, path)
}

// C6: a database that somebody has open is not taken from under them.
func TestC6_InUse(t *testing.T) {
	t.Parallel()
	r := newReplica(t, newMem(), small)
	tr := open(t, r.store)
	path := newTarget(t)
	must(t, os.WriteFile(path, r.primary.Image(1), 0o600))
	db := sqlite(t, path)
	defer db.Close()
	tx, err := db.Begin()
	must(t, err)
	must(t, tx.QueryRow("SELECT count(*) FROM t").Scan(new(int)))
	if _, err := File(t.Context(), bulk.Source{Store: r.store}, tr.View(), path, Options{Existing: Replace}); !errors.Is(err, ErrInUse) {
		t.Errorf("while it is read: %v", err)
	}
	must(t, tx.Rollback())
	_, err = File(t.Context(), bulk.Source{Store: r.store}, tr.View(), path, Options{Existing: Replace})
	must(t, err)
}

// Two restores to one path: one of them says that the other is at it.
func TestFile_TwoAtOnce(t *testing.T) {
	t.Parallel()
	count := &counter{Store: newMem()}
	r := newReplica(t, count.Store, small)
	tr := open(t, r.store)
	path := newTarget(t)
	var second error
	var once sync.Once
	count.before = func(string) {
		once.Do(func() { _, second = File(t.Context(), bulk.Source{Store: r.store}, tr.View(), path, Options{}) })
	}
	_, err := File(t.Context(), bulk.Source{Store: count}, tr.View(), path, Options{})
	must(t, err)
	if !errors.Is(second, ErrInUse) {
		t.Errorf("the second one: %v", second)
	}
	same(t, path, r.primary.Image(r.primary.TXID), false)
}

// Whatever call to the store fails, and however: the target is absent, nothing is left, and the error says so. An answer of other
// bytes than asked for never gets in.
func TestFile_EveryFault(t *testing.T) {
	t.Parallel()
	r := newReplica(t, newMem(), small)
	for range 5 {
		r.commit()
	}
	tr := open(t, r.store)
	for _, mode := range []faultstore.Mode{faultstore.Refuse, faultstore.Cut} {
		for n := int64(0); ; n++ {
			fault := faultstore.FailNth(n).As(mode)
			path := newTarget(t)
			_, err := File(t.Context(), bulk.Source{Store: fault.Wrap(r.store), Mover: tr}, tr.View(), path, Options{})
			if !fault.Fired() {
				must(t, err)
				break
			}
			if !errors.Is(err, faultstore.ErrInjected) {
				t.Fatalf("call %d, %v: the fault was lost: %v", n, mode, err)
			}
			alone(t, filepath.Dir(path))
		}
	}
}

// Whatever is done to files fails: the target is absent or complete, and an old one is whole until a complete one is there. (Killed restores
// found that for a moment there was neither.)
func TestFile_EveryFileFault(t *testing.T) {
	t.Parallel()
	r := newReplica(t, newMem(), small)
	tr := open(t, r.store)
	image := r.primary.Image(r.primary.TXID)
	broken := errors.New("broken disk")
	for _, how := range []Existing{Refuse, Replace} {
		for n := 0; ; n++ {
			path := newTarget(t)
			if how == Replace {
				must(t, os.WriteFile(path, []byte("old"), 0o600))
			}
			calls := 0
			opts := Options{Existing: how, faults: func(string) error {
				if calls++; calls == n+1 {
					return broken
				}
				return nil
			}}
			_, err := File(t.Context(), bulk.Source{Store: r.store}, tr.View(), path, opts)
			if calls <= n {
				must(t, err)
				break
			}
			if !errors.Is(err, broken) {
				t.Errorf("%v, step %d: %v", how, n, err)
			}
			b, err := os.ReadFile(path)
			switch {
			case err != nil && how == Replace:
				t.Errorf("step %d: nothing is there, neither the old one nor the new one: %v", n, err)
			case err == nil && string(b) != "old" && !bytes.Equal(b, image):
				t.Errorf("%v, step %d: half a database of %d bytes", how, n, len(b))
			}
		}
	}
}

// C1: a snapshot with holes, or damaged pages, is not restored, and the error names file and page.
func TestC1_BrokenFilesAreNotRestored(t *testing.T) {
	t.Parallel()
	mem := newMem()
	r := newReplica(t, mem, small)
	r.insert(300)
	r.primary.Sync()
	tr := open(t, mem)
	v := tr.View()
	p, _ := v.Lookup(v.Commit)
	for _, o := range mem.Objects() {
		if o.Key != p.Frame.File.Key() {
			continue
		}
		o.Data[p.Frame.Off+3]++ // the frame says that it is another page now; Data is the store's own
	}
	path := newTarget(t)
	_, err := File(t.Context(), bulk.Source{Store: mem, Mover: tr}, v, path, Options{})
	if !errors.Is(err, index.ErrCorrupt) || !bytes.Contains([]byte(fmt.Sprint(err)), []byte(p.Frame.File.String())) {
		t.Errorf("got %v", err)
	}
	alone(t, filepath.Dir(path))
}

// C1: growth that was never written: the View has a hole.
func TestC1_Hole(t *testing.T) {
	t.Parallel()
	mem := newMem()
	r := newReplica(t, mem, small)
	commit := uint32(len(r.primary.Image(1)) / 1024)
	b, err := primary.Encode(ltx.Header{
		Version: ltx.Version, Flags: ltx.HeaderFlagNoChecksum, PageSize: 1024, Commit: commit + 2, MinTXID: 2, MaxTXID: 2, Timestamp: 1, WALOffset: 32,
	}, map[uint32][]byte{1: r.primary.Image(1)[:1024], commit + 2: make([]byte, 1024)})
	must(t, err)
	f := index.File{Min: 2, Max: 2}
	_, err = mem.Put(t.Context(), f.Key(), bytes.NewReader(b), objstore.PutOptions{})
	must(t, err)
	tr := open(t, mem)
	path := newTarget(t)
	_, err = File(t.Context(), bulk.Source{Store: mem, Mover: tr}, tr.View(), path, Options{})
	if want := fmt.Sprintf("page %d of %d has no frame", commit+1, commit+2); !errors.Is(err, index.ErrCorrupt) || !bytes.Contains([]byte(err.Error()), []byte(want)) {
		t.Errorf("got %v, want %q", err, want)
	}
	if _, err := NewPlan(tr.View()); !errors.Is(err, index.ErrCorrupt) {
		t.Errorf("plan: %v", err)
	}
	alone(t, filepath.Dir(path))
}

// A database beyond 1 GiB has a page that is never stored. (This one is sparse, and mostly zeros.)
func TestFile_LockPage(t *testing.T) {
	mem := newMem()
	const pageSize, beyond = 65536, 3
	lock := ltx.LockPgno(pageSize)
	pages, zero := map[uint32][]byte{}, make([]byte, pageSize)
	for pgno := uint32(1); pgno <= lock+beyond; pgno++ {
		if pgno != lock {
			pages[pgno] = zero
		}
	}
	pages[lock+beyond] = bytes.Repeat([]byte{7}, pageSize)
	b, err := primary.Encode(ltx.Header{
		Version: ltx.Version, Flags: ltx.HeaderFlagNoChecksum, PageSize: pageSize, Commit: lock + beyond, MinTXID: 1, MaxTXID: 1, Timestamp: 1, WALOffset: 32,
	}, pages)
	must(t, err)
	f := index.File{Min: 1, Max: 1}
	_, err = mem.Put(t.Context(), f.Key(), bytes.NewReader(b), objstore.PutOptions{})
	must(t, err)
	tr := open(t, mem)
	v := tr.View()
	w := new(pagesWritten)
	stats, err := bulk.Copy(t.Context(), bulk.Source{Store: mem}, v, bulk.All(v), w, bulk.Options{})
	must(t, err)
	if w.end != sizeOf(v) || w.bytes != int64(lock+beyond-1)*pageSize || stats.Pages != int64(lock+beyond-1) {
		t.Errorf("%d bytes up to %d were written, of %d", w.bytes, w.end, sizeOf(v))
	}
	if w.at(bulk.Offset(lock, pageSize)) {
		t.Error("the lock page was written")
	}
}

// pagesWritten is a file of which nothing but where was written is kept.
type pagesWritten struct {
	mu         sync.Mutex
	bytes, end int64
	runs       [][2]int64
}

func (w *pagesWritten) WriteAt(p []byte, off int64) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bytes += int64(len(p))
	w.end = max(w.end, off+int64(len(p)))
	w.runs = append(w.runs, [2]int64{off, off + int64(len(p))})
	return len(p), nil
}

func (w *pagesWritten) at(off int64) bool {
	return slices.ContainsFunc(w.runs, func(r [2]int64) bool { return r[0] <= off && off < r[1] })
}

// A cancelled restore ends soon, and leaves nothing.
func TestFile_Cancelled(t *testing.T) {
	t.Parallel()
	count := &counter{Store: newMem()}
	r := newReplica(t, count.Store, small)
	tr := open(t, r.store)
	ctx, cancel := context.WithCancel(t.Context())
	count.before = func(string) { cancel() }
	path := newTarget(t)
	if _, err := File(ctx, bulk.Source{Store: count}, tr.View(), path, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	alone(t, filepath.Dir(path))
}

// Progress goes up to all there is.
func TestFile_Progress(t *testing.T) {
	t.Parallel()
	r := newReplica(t, newMem(), small)
	tr := open(t, r.store)
	var last bulk.Progress
	_, err := File(t.Context(), bulk.Source{Store: r.store}, tr.View(), newTarget(t), Options{OnProgress: func(p bulk.Progress) { last = p }})
	must(t, err)
	if want := int64(tr.View().Commit); last.Pages != want || last.TotalPages != want || last.Bytes != last.TotalBytes || last.Bytes == 0 {
		t.Errorf("got %+v, want %d pages", last, want)
	}
}
