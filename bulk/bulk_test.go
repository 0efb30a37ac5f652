package bulk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/integration/primary"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/faultstore"
	"github.com/litefs-s3/litefs-s3/objstore/httpstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

const pageSize = 1024

// newReplica returns a replica of some files, the newest of them small.
func newReplica(t testing.TB) (*primary.Primary, *memstore.Store, *index.Tracker) {
	mem := new(memstore.Store)
	p := primary.New(t, mem, primary.Options{PageSize: pageSize})
	p.Exec(`CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)`)
	p.Exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<4000)
		INSERT INTO t(v) SELECT hex(randomblob(100)) FROM n`)
	p.Sync()
	for i := range 8 {
		p.Exec(`UPDATE t SET v=hex(randomblob(100)) WHERE id BETWEEN ? AND ?`, 400*i, 400*i+40)
		p.Sync()
	}
	tr, err := index.Open(t.Context(), mem, index.Options{PollInterval: -1})
	must(t, err)
	return p, mem, tr
}

// memory is a database file in memory that knows which pages were written, and how often.
type memory struct {
	delay time.Duration // of a write

	mu     sync.Mutex
	data   []byte         // guarded by mu
	writes map[uint32]int // by page; guarded by mu
}

func newMemory(v *index.View) *memory {
	return &memory{data: make([]byte, int64(v.Commit)*int64(v.PageSize)), writes: map[uint32]int{}}
}

func (m *memory) WriteAt(p []byte, off int64) (int, error) {
	time.Sleep(m.delay)
	m.mu.Lock()
	defer m.mu.Unlock()
	copy(m.data[off:], p)
	for n := int64(0); n < int64(len(p)); n += pageSize {
		m.writes[uint32((off+n)/pageSize)+1]++
	}
	return len(p), nil
}

// Only the pages asked for are written, each once and right, wherever they lie.
func TestCopy_SomePages(t *testing.T) {
	t.Parallel()
	p, mem, tr := newReplica(t)
	v := tr.View()
	image := p.Image(v.TXID)
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 40 {
		wanted := map[uint32]bool{}
		for range rnd.IntN(60) {
			first := 1 + rnd.Uint32N(v.Commit)
			for pgno := first; pgno <= min(v.Commit, first+rnd.Uint32N(20)); pgno++ {
				wanted[pgno] = true
			}
		}
		var list []uint32
		for pgno := range wanted {
			list = append(list, pgno)
		}
		slices.Sort(list)
		out := newMemory(v)
		stats, err := Copy(t.Context(), Source{Store: mem, Mover: tr}, v, slices.Values(append(list, v.Commit+1, v.Commit+500)), out, Options{})
		must(t, err)
		if len(out.writes) != len(list) || stats.Pages != int64(len(list)) {
			t.Fatalf("%d pages were written, the statistics say %d, wanted %d", len(out.writes), stats.Pages, len(list))
		}
		for _, pgno := range list {
			off := Offset(pgno, pageSize)
			if out.writes[pgno] != 1 || !bytes.Equal(out.data[off:off+pageSize], image[off:off+pageSize]) {
				t.Fatalf("page %d was written %d times, or wrong", pgno, out.writes[pgno])
			}
		}
	}
}

// Files of low levels are read first: they are the ones that go away.
func TestCopy_Order(t *testing.T) {
	t.Parallel()
	p, mem, _ := newReplica(t)
	p.Compact(1, 2, 5)
	p.Snapshot()
	p.Expire(0, 5)
	p.Exec(`UPDATE t SET v='x' WHERE id=3500`)
	p.Sync()
	var keys []string
	store := faultstore.Wrap(mem, func(_ context.Context, c faultstore.Call) faultstore.Action {
		keys = append(keys, c.Key)
		return faultstore.Action{}
	})
	tr, err := index.Open(t.Context(), mem, index.Options{PollInterval: -1})
	must(t, err)
	_, err = Copy(t.Context(), Source{Store: store}, tr.View(), All(tr.View()), newMemory(tr.View()), Options{Concurrency: 1})
	must(t, err)
	if !slices.IsSorted(keys) || len(keys) < 2 {
		t.Errorf("read in this order: %q", keys)
	}
}

// C7: a store that closes connections which idle for 200 ms, and a disk that takes longer than that for each write: nothing is ever left
// idle.
func TestC7_IdleConnections(t *testing.T) {
	t.Parallel()
	p, mem, tr := newReplica(t)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, o := range mem.Objects() {
			if "/"+o.Key == r.URL.Path {
				w.Header().Set("ETag", `"`+o.ETag+`"`)
				http.ServeContent(impatient{w, http.NewResponseController(w)}, r, "", time.Time{}, bytes.NewReader(o.Data))
				return
			}
		}
		http.NotFound(w, r)
	}))
	server.Config.IdleTimeout = 200 * time.Millisecond
	server.Start()
	defer server.Close()
	store, err := httpstore.Open(server.URL, httpstore.Options{})
	must(t, err)
	defer store.CloseIdle()
	v := tr.View()
	out := newMemory(v)
	out.delay = 300 * time.Millisecond
	_, err = Copy(t.Context(), Source{Store: objstore.Retry(store, objstore.RetryOptions{}), Mover: tr}, v, All(v), out, Options{Concurrency: 4})
	must(t, err)
	if !bytes.Equal(out.data, p.Image(v.TXID)) {
		t.Error("the copy is not the database")
	}
}

// impatient ends a connection whose other side takes nothing for 200 ms.
type impatient struct {
	http.ResponseWriter
	control *http.ResponseController
}

func (w impatient) Write(p []byte) (int, error) {
	if err := w.control.SetWriteDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
		return 0, err
	}
	return w.ResponseWriter.Write(p)
}

// A file that is gone is an error when nobody can find its pages elsewhere, and also when the one who should goes in a circle.
func TestCopy_Gone(t *testing.T) {
	t.Parallel()
	_, mem, tr := newReplica(t)
	v := tr.View()
	must(t, mem.Delete(t.Context(), v.Files()[3].Key()))
	_, err := Copy(t.Context(), Source{Store: mem}, v, All(v), newMemory(v), Options{})
	if !errors.Is(err, objstore.ErrNotFound) || !strings.Contains(fmt.Sprint(err), v.Files()[3].String()) {
		t.Errorf("without a mover: %v", err)
	}
	asked := &idleMover{}
	if _, err := Copy(t.Context(), Source{Store: mem, Mover: asked}, v, All(v), newMemory(v), Options{}); !errors.Is(err, objstore.ErrNotFound) {
		t.Errorf("with a mover that does nothing: %v", err)
	}
	if asked.n == 0 || asked.n > maxFruitless+1 {
		t.Errorf("it was asked %d times", asked.n)
	}
	if _, err := Copy(t.Context(), Source{Store: mem, Mover: tr}, v, All(v), newMemory(v), Options{}); !errors.Is(err, index.ErrViewExpired) {
		t.Errorf("with a tracker: %v", err)
	}
}

type idleMover struct{ n int }

func (m *idleMover) Rehome(context.Context, *index.View, *index.File) error { m.n++; return nil }

// Writing that fails is an error, and the end.
func TestCopy_DiskFull(t *testing.T) {
	t.Parallel()
	_, mem, tr := newReplica(t)
	if _, err := Copy(t.Context(), Source{Store: mem}, tr.View(), All(tr.View()), full{}, Options{}); !errors.Is(err, errFull) {
		t.Errorf("got %v", err)
	}
}

var errFull = errors.New("no space left on device")

type full struct{}

func (full) WriteAt([]byte, int64) (int, error) { return 0, errFull }

// A set knows what is in it, at every edge of its words, whoever takes from it.
func TestPageSet(t *testing.T) {
	t.Parallel()
	for _, commit := range []uint32{1, 62, 63, 64, 65, 127, 128, 1000} {
		s := newPageSet(commit, func(yield func(uint32) bool) {
			for pgno := uint32(1); pgno <= commit+5 && yield(pgno) && yield(pgno); pgno++ {
			}
		})
		if s.len() != int64(commit) || !s.has(commit) || s.has(0) {
			t.Errorf("commit %d: %d pages", commit, s.len())
		}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for pgno := uint32(2); pgno <= commit; pgno += 2 {
					s.remove(pgno)
				}
			})
		}
		wg.Wait()
		want := uint32(1)
		for pgno := range s.all() {
			if pgno != want {
				t.Fatalf("commit %d: page %d, want %d", commit, pgno, want)
			}
			want += 2
		}
		if s.len() != int64(commit+1)/2 {
			t.Errorf("commit %d: %d pages are left", commit, s.len())
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
