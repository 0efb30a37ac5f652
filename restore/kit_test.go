package restore

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/litefs-s3/litefs-s3/bulk"
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
		fmt.Fprintf(os.Stderr, "still running after all tests:\n%s\n", left)
		code = 1
	}
	os.Exit(code)
}

// leftBehind returns the goroutines of this project that still run, once they have had time to end.
func leftBehind() (left string) {
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		left = ""
		stacks := make([]byte, 4<<20)
		for _, stack := range strings.Split(string(stacks[:runtime.Stack(stacks, true)]), "\n\n")[1:] {
			if strings.Contains(stack, "litefs-s3/restore.") || strings.Contains(stack, "litefs-s3/bulk.") {
				left += stack + "\n\n"
			}
		}
		if left == "" || time.Now().After(deadline) {
			return left
		}
	}
}

// replica is a store with a primary that writes to it.
type replica struct {
	t       testing.TB
	primary *primary.Primary
	store   objstore.Store
	rnd     *rand.Rand
	merged  [4]index.TXID // last one in each level
}

func newReplica(t testing.TB, store objstore.Store, opts primary.Options) *replica {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := &replica{t: t, store: store, rnd: rand.New(rand.NewPCG(seed, 1))}
	r.primary = primary.New(t, store, opts)
	r.primary.Exec(`CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)`)
	r.primary.Exec(`CREATE INDEX tv ON t(v)`)
	r.insert(400)
	r.primary.Sync()
	return r
}

// insert adds rows of about 220 bytes, index included.
func (r *replica) insert(n int) {
	r.primary.Exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<?)
		INSERT INTO t(v) SELECT hex(randomblob(50)) FROM n`, n)
}

func (r *replica) update(n int) {
	r.primary.Exec(`UPDATE t SET v=hex(randomblob(50)) WHERE id IN (SELECT id FROM t ORDER BY random() LIMIT ?)`, n)
}

// commit makes a transaction of a random kind the next TXID: the database grows, changes, shrinks.
func (r *replica) commit() index.TXID {
	switch r.rnd.IntN(10) {
	case 0:
		r.primary.Exec(`DELETE FROM t WHERE id%3=?`, r.rnd.IntN(3))
		r.primary.Exec(`VACUUM`)
	case 1, 2:
		r.insert(100)
	default:
		r.update(1 + r.rnd.IntN(30))
	}
	return r.primary.Sync()
}

// merge lets the compactor do something: a level, a snapshot, or the end of files that are merged.
func (r *replica) merge() {
	switch level := 1 + r.rnd.IntN(3); r.rnd.IntN(5) {
	case 0:
		r.primary.Snapshot()
	case 1:
		r.expire(level - 1)
	default:
		r.compact(level)
	}
}

func (r *replica) compact(level int) {
	below := r.primary.TXID
	if level > 1 {
		below = r.merged[level-1]
	}
	if below > r.merged[level] {
		r.primary.Compact(level, r.merged[level]+1, below)
		r.merged[level] = below
	}
}

// expire removes the files of a level that are in the next one.
func (r *replica) expire(level int) {
	if level < 3 {
		r.primary.Expire(level, r.merged[level+1])
	}
}

// open returns a tracker of the replica as it is read through store.
func open(t testing.TB, store index.Reader) *index.Tracker {
	t.Helper()
	tr, err := index.Open(context.Background(), store, index.Options{PollInterval: -1})
	must(t, err)
	return tr
}

// same checks that the file at path is image to the byte; when it is followed, but for what Follow says of page 1.
func same(t testing.TB, path string, image []byte, followed bool) {
	t.Helper()
	got, err := os.ReadFile(path)
	must(t, err)
	if followed {
		got, image = plainOf(got), plainOf(image)
	}
	if len(got) != len(image) {
		t.Fatalf("the file has %d bytes, the database %d", len(got), len(image))
	}
	if !bytes.Equal(got, image) {
		for i := range got {
			if got[i] != image[i] {
				t.Fatalf("the file is not the database: the first difference is at byte %d of %d", i, len(got))
			}
		}
	}
}

// sound checks that SQLite finds nothing wrong with the file.
func sound(t testing.TB, path string) {
	t.Helper()
	db := sqlite(t, path)
	defer db.Close()
	var verdict string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		t.Fatalf("integrity_check: %q, %v", verdict, err)
	}
}

func sqlite(t testing.TB, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+path)
	must(t, err)
	return db
}

// alone checks that dir holds nothing but the named files.
func alone(t testing.TB, dir string, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	slices.Sort(names)
	if !slices.Equal(got, names) {
		t.Errorf("the directory holds %q, want %q", got, names)
	}
}

// counter counts reads, and remembers which bytes they were of.
type counter struct {
	objstore.Store

	mu     sync.Mutex
	before func(key string) // called first; guarded by mu
	reads  []read           // guarded by mu
}

type read struct {
	key       string
	off, size int64
}

func (s *counter) ReadAt(ctx context.Context, ref objstore.Ref, p []byte, off int64) error {
	s.mu.Lock()
	s.reads = append(s.reads, read{ref.Key, off, int64(len(p))})
	before := s.before
	s.mu.Unlock()
	if before != nil {
		before(ref.Key)
	}
	return s.Store.ReadAt(ctx, ref, p, off)
}

// bytes returns how many bytes were read, and how many of them more than once.
func (s *counter) bytes() (all, twice int64) {
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
		all += reads[i].size
		twice += max(0, min(end, reads[i].off+reads[i].size)-reads[i].off)
		end = max(end, reads[i].off+reads[i].size)
	}
	return all, twice
}

// occupied is how many bytes the newest versions of all pages take in the bucket.
func occupied(v *index.View) (n int64) {
	for pgno := range bulk.All(v) {
		if p, ok := v.Lookup(pgno); ok {
			n += p.Frame.Size
		}
	}
	return n
}

func newTarget(t testing.TB) string { return filepath.Join(t.TempDir(), "app.db") }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var small = primary.Options{PageSize: 1024}

func newMem() *memstore.Store { return new(memstore.Store) }
