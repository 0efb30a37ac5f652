package hydrate

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/superfly/ltx"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/integration/primary"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		child()
		return
	}
	code := m.Run()
	if left := leftBehind(); left != "" && code == 0 {
		fmt.Fprintf(os.Stderr, "left behind after all tests:\n%s\n", left)
		code = 1
	}
	os.Exit(code)
}

// leftBehind returns the goroutines of copies that still run, and the files of copies that still are open, once they have had time to end.
func leftBehind() (left string) {
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		left = ""
		stacks := make([]byte, 4<<20)
		for _, stack := range strings.Split(string(stacks[:runtime.Stack(stacks, true)]), "\n\n")[1:] {
			if strings.Contains(stack, "hydrate.(*") {
				left += stack + "\n\n"
			}
		}
		links, _ := filepath.Glob("/proc/self/fd/*") // none where there is no /proc
		for _, link := range links {
			if file, err := os.Readlink(link); err == nil && strings.Contains(file, "copy.db") {
				left += file + "\n"
			}
		}
		if left == "" || time.Now().After(deadline) {
			return left
		}
	}
}

// replica is a store with a primary that writes to it and a follower that reads through a count.
type replica struct {
	t       testing.TB
	primary *primary.Primary
	mem     objstore.Store
	count   *counter
	merged  index.TXID // last one in level 1
	*follower
}

// newReplica returns a replica with a table of so many rows.
func newReplica(t testing.TB, rows int) *replica {
	return newReplicaWith(t, new(memstore.Store), rows, primary.Options{})
}

func newReplicaWith(t testing.TB, store objstore.Store, rows int, opts primary.Options) *replica {
	r := &replica{t: t, mem: store, count: &counter{Store: store}}
	r.primary = primary.New(t, store, opts)
	r.primary.Exec(`CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)`)
	r.primary.Exec(`CREATE INDEX tv ON t(v)`)
	r.insert(rows)
	r.primary.Sync()
	r.follower = follow(t, r.count)
	return r
}

// insert adds rows of about 220 bytes, index included.
func (r *replica) insert(n int) {
	r.primary.Exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<?)
		INSERT INTO t(v) SELECT hex(randomblob(50)) FROM n`, n)
}

// update changes n rows.
func (r *replica) update(n int) {
	r.primary.Exec(`UPDATE t SET v=hex(randomblob(50)) WHERE id IN (SELECT id FROM t ORDER BY random() LIMIT ?)`, n)
}

// commit makes a transaction of n changed rows the next TXID.
func (r *replica) commit(n int) index.TXID {
	r.update(n)
	return r.primary.Sync()
}

// follower is a tracker with a history, wired to a copy the way the root does it.
type follower struct {
	*index.Tracker
	store objstore.Store
	copy  atomic.Pointer[Copy]
}

func follow(t testing.TB, store objstore.Store) *follower {
	f, err := openFollower(store)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func openFollower(store objstore.Store) (f *follower, err error) {
	f = &follower{store: store}
	f.Tracker, err = index.Open(context.Background(), store, index.Options{PollInterval: -1, OnLoad: f.onLoad})
	return f, err
}

func (f *follower) onLoad(v *index.View, blobs []index.Blob) {
	if c := f.copy.Load(); c != nil {
		c.Advance(v, blobs)
	}
}

// poll looks for news until there is none.
func (f *follower) poll(t testing.TB) *index.View {
	t.Helper()
	if err := f.Refresh(context.Background()); err != nil {
		t.Fatal(err)
	}
	if c := f.copy.Load(); c != nil {
		c.Advance(f.View(), nil)
	}
	return f.View()
}

// Since implements History the way an index can do it: it reads the page tables of the files in between.
func (f *follower) Since(ctx context.Context, head *index.View, txid index.TXID, files []index.File) (iter.Seq[uint32], bool, error) {
	c, err := index.ListAll(ctx, f.store)
	if err != nil {
		return nil, false, err
	}
	if !related(c.Files, files) {
		return nil, false, nil
	}
	changed := map[uint32]bool{}
	for at := txid; at < head.TXID; {
		next := furthest(c.Files, at)
		if next == nil {
			return nil, false, nil
		}
		if err := f.addPages(ctx, next, changed); err != nil {
			return nil, false, err
		}
		at = next.Max
	}
	return maps.Keys(changed), true, nil
}

// Landmarks implements History.
func (f *follower) Landmarks() []index.File {
	c, err := index.ListAll(context.Background(), f.store)
	if err != nil {
		return nil
	}
	var marks []index.File
	for i, file := range c.Files {
		if i+1 == len(c.Files) || c.Files[i+1].Level != file.Level {
			marks = append(marks, file)
		}
	}
	return marks
}

// related reports whether some of files are listed, and none of them with other bytes.
func related(listed, files []index.File) bool {
	same := false
	for i := range files {
		for j := range listed {
			if listed[j].Key() != files[i].Key() {
				continue
			}
			if listed[j].Size != files[i].Size || listed[j].ETag != files[i].ETag {
				return false
			}
			same = true
		}
	}
	return same
}

// furthest returns the file that goes on from txid and gets furthest; not one that holds the whole database.
func furthest(files []index.File, txid index.TXID) *index.File {
	var best *index.File
	for i := range files {
		if f := &files[i]; f.Min > 1 && f.Min <= txid+1 && f.Max > txid && (best == nil || f.Max > best.Max) {
			best = f
		}
	}
	return best
}

func (f *follower) addPages(ctx context.Context, file *index.File, pages map[uint32]bool) error {
	part, err := f.store.ReadSuffix(ctx, file.Ref(), file.Size)
	if err != nil {
		return err
	}
	size := int64(0)
	for _, b := range part.Data[len(part.Data)-24 : len(part.Data)-16] {
		size = size<<8 | int64(b)
	}
	records := part.Data[int64(len(part.Data))-24-size:]
	found, err := ltx.DecodePageIndex(bufio.NewReader(bytes.NewReader(records)), file.Level, file.Min, file.Max)
	for pgno := range found {
		pages[pgno] = true
	}
	return err
}

// open opens a copy of the replica's head and runs it. It is closed at the end of the test, if not before.
func (r *replica) open(opts Options) *Copy {
	r.t.Helper()
	c := r.openOnly(opts)
	go c.Run(context.Background())
	return c
}

func (r *replica) openOnly(opts Options) *Copy {
	r.t.Helper()
	c, err := Open(context.Background(), r.count, "mem://replica", r.View(), r.follower, opts)
	if err != nil {
		r.t.Fatal(err)
	}
	r.copy.Store(c)
	r.t.Cleanup(func() { c.Close() })
	return c
}

func (r *replica) path() string { return filepath.Join(r.t.TempDir(), "copy.db") }

// wait waits until c is complete as of the head.
func wait(t testing.TB, c *Copy) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := c.Wait(ctx); err != nil {
		t.Fatal(err)
	}
}

// arrive waits until c stands for txid.
func arrive(t testing.TB, c *Copy, txid index.TXID) {
	t.Helper()
	until(t, func() bool { return c.Progress().TXID == txid })
}

func until(t testing.TB, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it never came")
		}
	}
}

// checkPages compares every page that c has at v with the database image, and returns how many it has.
func checkPages(t testing.TB, c *Copy, v *index.View, image []byte) (local int) {
	t.Helper()
	page := make([]byte, v.PageSize)
	for pgno := uint32(1); pgno <= v.Commit; pgno++ {
		version, ok := v.Version(pgno)
		if !ok || !c.ReadPage(v, pgno, version, page) {
			continue
		}
		local++
		off := pageOffset(pgno, v.PageSize)
		if want := image[off : off+int64(v.PageSize)]; !bytes.Equal(page, want) {
			t.Fatalf("page %d at txid %s, version %s, is not that of the primary", pgno, v.TXID, version)
		}
	}
	return local
}

// checkAll checks that c has every page of v.
func (r *replica) checkAll(c *Copy, v *index.View) {
	r.t.Helper()
	if n := checkPages(r.t, c, v, r.primary.Image(v.TXID)); n != int(v.Commit) {
		r.t.Fatalf("%d of %d pages are local", n, v.Commit)
	}
}

// checkFile checks that the file of a copy that is closed is the database as of txid, to the byte and to SQLite.
func (r *replica) checkFile(path string, txid index.TXID) {
	r.t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		r.t.Fatal(err)
	}
	if !bytes.Equal(got, r.primary.Image(txid)) {
		r.t.Fatalf("the file of %d bytes is not the database of %d", len(got), len(r.primary.Image(txid)))
	}
	db, err := sql.Open("sqlite3", "file:"+path+"?mode=ro")
	if err != nil {
		r.t.Fatal(err)
	}
	defer db.Close()
	var verdict string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		r.t.Fatalf("integrity_check: %q, %v", verdict, err)
	}
	r.primary.CheckSame(txid, db)
}

// fetchPage reads a page from the bucket, as a query would.
func fetchPage(t testing.TB, store objstore.RangeReader, v *index.View, pgno uint32) (index.TXID, []byte) {
	t.Helper()
	version, page, err := readPage(store, v, pgno)
	must(t, err)
	return version, page
}

func readPage(store objstore.RangeReader, v *index.View, pgno uint32) (index.TXID, []byte, error) {
	p, ok := v.Lookup(pgno)
	if !ok {
		return 0, nil, fmt.Errorf("page %d has no frame", pgno)
	}
	raw, page := make([]byte, p.Frame.Size), make([]byte, v.PageSize)
	if err := store.ReadAt(context.Background(), p.Frame.File.Ref(), raw, p.Frame.Off); err != nil {
		return 0, nil, err
	}
	return p.Version, page, index.DecodeFrame(raw, pgno, page)
}

// counter counts reads, and remembers which bytes they were of.
type counter struct {
	objstore.Store
	gets  atomic.Int64
	bytes atomic.Int64

	mu     sync.Mutex
	before func(ctx context.Context, key string, size int64) error // called first; guarded by mu
	reads  []read                                                  // guarded by mu
}

type read struct {
	key       string
	off, size int64
}

func (s *counter) ReadAt(ctx context.Context, ref objstore.Ref, p []byte, off int64) error {
	s.mu.Lock()
	before := s.before
	s.mu.Unlock()
	if before != nil {
		if err := before(ctx, ref.Key, int64(len(p))); err != nil {
			return err
		}
	}
	s.gets.Add(1)
	s.bytes.Add(int64(len(p)))
	s.mu.Lock()
	s.reads = append(s.reads, read{ref.Key, off, int64(len(p))})
	s.mu.Unlock()
	return s.Store.ReadAt(ctx, ref, p, off)
}

// hook sets what is called before each read.
func (s *counter) hook(f func(ctx context.Context, key string, size int64) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = f
}

// reset begins to count anew.
func (s *counter) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gets.Store(0)
	s.bytes.Store(0)
	s.reads = nil
}

// twice is how many bytes were read more than once.
func (s *counter) twice() (n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	reads := slices.Clone(s.reads)
	slices.SortFunc(reads, func(a, b read) int {
		if a.key != b.key {
			return strings.Compare(a.key, b.key)
		}
		return int(a.off - b.off)
	})
	for i, end := 0, int64(0); i < len(reads); i++ {
		if i > 0 && reads[i].key != reads[i-1].key {
			end = 0
		}
		n += max(0, min(end, reads[i].off+reads[i].size)-reads[i].off)
		end = max(end, reads[i].off+reads[i].size)
	}
	return n
}

// occupied is how many bytes the newest versions of all pages take in the bucket.
func occupied(v *index.View) (n int64) {
	for pgno := uint32(1); pgno <= v.Commit; pgno++ {
		if p, ok := v.Lookup(pgno); ok {
			n += p.Frame.Size
		}
	}
	return n
}

// logs is a logger that keeps its lines.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logs) logger() *slog.Logger { return slog.New(slog.NewTextHandler(io.Writer(l), nil)) }

func (l *logs) check(t testing.TB, want string) {
	t.Helper()
	if !strings.Contains(l.String(), want) {
		t.Errorf("the log does not say %q:\n%s", want, l)
	}
}

func newRand(t testing.TB) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, seed))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
