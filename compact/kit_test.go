package compact

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/superfly/ltx"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/integration/primary"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// world is a primary, its replica, and a clock that only moves when it is told to.
type world struct {
	t     testing.TB
	now   time.Time
	rnd   *rand.Rand
	store *memstore.Store
	p     *primary.Primary
}

// start is not a round number of anything.
var start = time.Date(2026, 3, 1, 9, 59, 47, 350e6, time.UTC)

func newWorld(t testing.TB, seed uint64) *world {
	t.Helper()
	w := &world{t: t, now: start, rnd: rand.New(rand.NewPCG(seed, 5))}
	clock := func() time.Time { return w.now }
	w.store = &memstore.Store{Now: clock}
	w.p = primary.New(t, w.store, primary.Options{PageSize: 512, Now: clock, Pragmas: []string{"auto_vacuum=full"}})
	w.p.Exec("CREATE TABLE t(id INTEGER PRIMARY KEY, x BLOB)")
	w.p.Sync()
	return w
}

// write commits one transaction that changes, grows or shrinks the database, and syncs it.
func (w *world) write() index.TXID {
	w.t.Helper()
	switch w.rnd.IntN(6) {
	case 0:
		w.p.Exec("DELETE FROM t WHERE id % 3 = ?", w.rnd.IntN(3))
	case 1:
		w.p.Exec("INSERT INTO t(x) SELECT randomblob(?) FROM (VALUES (1),(2),(3),(4))", 100+w.rnd.IntN(700))
	default:
		w.p.Exec("UPDATE t SET x = randomblob(200) WHERE id % 7 = ?", w.rnd.IntN(7))
	}
	w.p.Exec("INSERT INTO t(x) VALUES (randomblob(10))")
	return w.p.Sync()
}

// live lets time pass, and a transaction be written every so often.
func (w *world) live(d, every time.Duration) {
	w.t.Helper()
	for end := w.now.Add(d); w.now.Before(end); {
		w.now = w.now.Add(time.Duration(1 + w.rnd.Int64N(2*int64(every))))
		w.write()
	}
}

func (w *world) options() Options {
	return Options{TempDir: w.t.TempDir(), Now: func() time.Time { return w.now }}
}

func newCompactor(t testing.TB, store objstore.Store, opts Options) *Compactor {
	t.Helper()
	c, err := New(store, opts)
	must(t, err)
	return c
}

// once runs a fresh compactor, as a command does.
func (w *world) once() *Report {
	w.t.Helper()
	r, err := newCompactor(w.t, w.store, w.options()).Once(context.Background())
	must(w.t, err)
	return r
}

func (w *world) files() []index.File { return filesOf(w.t, w.store) }

func filesOf(t testing.TB, store objstore.Store) []index.File {
	t.Helper()
	c, err := index.ListAll(context.Background(), store)
	must(t, err)
	return c.Files
}

func names(files []index.File) []string {
	var all []string
	for i := range files {
		all = append(all, files[i].String())
	}
	return all
}

func level(files []index.File, n int) []index.File {
	var all []index.File
	for _, f := range files {
		if f.Level == n {
			all = append(all, f)
		}
	}
	return all
}

// restore makes the database at txid out of the bucket with nothing but the format's own library.
func restore(store objstore.Store, chains *index.Chains, txid index.TXID) ([]byte, error) {
	chain, err := chains.Chain(txid)
	if err != nil {
		return nil, err
	}
	var inputs []io.Reader
	for _, f := range chain {
		data := make([]byte, f.Size)
		if err := store.ReadAt(context.Background(), f.Ref(), data, 0); err != nil {
			return nil, err
		}
		if err := ltx.NewDecoder(bytes.NewReader(data)).Verify(); err != nil {
			return nil, fmt.Errorf("%s: %w", f, err)
		}
		inputs = append(inputs, bytes.NewReader(data))
	}
	var merged, image bytes.Buffer
	c, err := ltx.NewCompactor(&merged, inputs)
	if err != nil {
		return nil, err
	}
	c.HeaderFlags = ltx.HeaderFlagNoChecksum
	if err := c.Compact(context.Background()); err != nil {
		return nil, err
	}
	err = ltx.NewDecoder(&merged).DecodeDatabaseTo(&image)
	return image.Bytes(), err
}

// checkImages compares what can be opened with what the primary had then: everything, or every so manieth.
func (w *world) checkImages(every int) {
	w.t.Helper()
	chains := index.NewChains(w.files())
	if chains.Head() != w.p.TXID {
		w.t.Fatalf("head is %s, the primary wrote %s; files %v", chains.Head(), w.p.TXID, names(w.files()))
	}
	txids := chains.TXIDs()
	for i := len(txids) - 1; i >= 0; i -= every {
		image, err := restore(w.store, chains, txids[i])
		if err != nil {
			w.t.Fatalf("txid %s: %v", txids[i], err)
		}
		if !bytes.Equal(image, w.p.Image(txids[i])) {
			w.t.Fatalf("txid %s is not the database of the primary; files %v", txids[i], names(w.files()))
		}
	}
}

// clone is a copy of the bucket with the same times.
func (w *world) clone() *memstore.Store {
	w.t.Helper()
	at := w.now
	copied := &memstore.Store{Now: func() time.Time { return at }}
	for _, o := range w.store.Objects() {
		at = o.Modified
		_, err := copied.Put(context.Background(), o.Key, bytes.NewReader(o.Data), objstore.PutOptions{Timestamp: o.Timestamp})
		must(w.t, err)
	}
	at = w.now
	return copied
}
