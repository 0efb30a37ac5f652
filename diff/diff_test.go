package diff

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/litefs-s3/litefs-s3/bulk"
	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/integration/primary"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

const pageSize = 1024

func newPrimary(t testing.TB) (*primary.Primary, *memstore.Store) {
	mem := new(memstore.Store)
	p := primary.New(t, mem, primary.Options{PageSize: pageSize})
	for _, table := range []string{"a", "b", "c"} {
		p.Exec(`CREATE TABLE ` + table + `(id INTEGER PRIMARY KEY, v TEXT, blob BLOB)`)
		p.Exec(`CREATE INDEX ` + table + `_v ON ` + table + `(v)`)
		p.Exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<500)
			INSERT INTO ` + table + `(v) SELECT hex(randomblob(50)) FROM n`)
	}
	p.Sync()
	return p, mem
}

func open(t testing.TB, store index.Reader) (*index.Tracker, *index.Timeline) {
	t.Helper()
	tr, err := index.Open(t.Context(), store, index.Options{PollInterval: -1})
	must(t, err)
	tl, err := tr.Timeline(t.Context())
	must(t, err)
	return tr, tl
}

// Between any two moments of random histories every page that differs is named, and a quiet database names few.
func TestBetween_EveryPair(t *testing.T) {
	t.Parallel()
	p, mem := newPrimary(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	for i := range 30 {
		switch rnd.IntN(8) {
		case 0:
			p.Exec(`DELETE FROM a WHERE id%7=?`, rnd.IntN(7))
			p.Exec(`VACUUM`)
		case 1:
			p.Exec(`INSERT INTO b(blob) VALUES (randomblob(30000))`)
		default:
			p.Exec(`UPDATE c SET v=hex(randomblob(50)) WHERE id%100=?`, rnd.IntN(100))
		}
		p.Sync()
		switch i {
		case 10, 20:
			p.Compact(1, p.TXID-5, p.TXID)
		case 15:
			p.Snapshot()
		case 25:
			p.Expire(0, 12)
		}
	}
	tr, tl := open(t, mem)
	txids := tl.TXIDs()
	for i, from := range txids {
		for _, to := range txids[i:] {
			a, err := tl.At(t.Context(), from)
			must(t, err)
			b, err := tl.At(t.Context(), to)
			must(t, err)
			pages, err := Between(t.Context(), tr, a, b)
			must(t, err)
			checkPair(t, p, pages)
		}
	}
}

func checkPair(t *testing.T, p *primary.Primary, pages *Pages) {
	t.Helper()
	before, after := p.Image(pages.From), p.Image(pages.To)
	later, earlier := slices.Collect(pages.Later()), slices.Collect(pages.Earlier())
	if !slices.IsSorted(later) || !slices.IsSorted(earlier) || pages.Len() != len(later)+pages.Removed.Len() {
		t.Fatalf("%s to %s: %v", pages.From, pages.To, pages)
	}
	for off := 0; off < max(len(before), len(after)); off += pageSize {
		pgno := uint32(off/pageSize) + 1
		inBefore, inAfter := off < len(before), off < len(after)
		same := inBefore && inAfter && bytes.Equal(before[off:off+pageSize], after[off:off+pageSize])
		if inAfter && !same && !slices.Contains(later, pgno) {
			t.Fatalf("page %d differs from %s to %s, and is not named", pgno, pages.From, pages.To)
		}
		if inBefore && !same && !slices.Contains(earlier, pgno) {
			t.Fatalf("page %d of %s is not that of %s, and is not named", pgno, pages.From, pages.To)
		}
	}
	if pages.From == pages.To && pages.Len() > 0 {
		t.Errorf("%d pages differ from themselves", pages.Len())
	}
}

// A snapshot in between hides nothing as long as the files of before are there; and no page is fetched.
func TestBetween_ReadsNoPage(t *testing.T) {
	t.Parallel()
	p, mem := newPrimary(t)
	from := p.TXID
	p.Exec(`UPDATE b SET v='x' WHERE id=250`)
	p.Sync()
	p.Snapshot()
	count := objstore.NewMetrics(mem)
	tr, tl := open(t, count)
	a, err := tl.At(t.Context(), from)
	must(t, err)
	b, err := tl.At(t.Context(), p.TXID)
	must(t, err)
	before := count.Stats()
	pages, err := Between(t.Context(), tr, a, b)
	must(t, err)
	if cost := count.Stats().Sub(before); cost.Requests() > 2 || !pages.Exact || pages.Len() > 20 || pages.Len() == 0 {
		t.Errorf("%d requests for %d pages, exact %v", cost.Requests(), pages.Len(), pages.Exact)
	}
	p.Expire(0, p.TXID) // now nothing tells
	p.Exec(`UPDATE b SET v='y' WHERE id=250`)
	p.Sync()
	p.Snapshot()
	p.Expire(0, p.TXID)
	tr, tl = open(t, mem)
	a, err = tl.At(t.Context(), p.TXID-1)
	must(t, err)
	pages, err = Between(t.Context(), tr, a, tr.View())
	must(t, err)
	if pages.Exact || len(pages.Changed) != int(tr.View().Commit) {
		t.Errorf("%d of %d pages, exact %v", len(pages.Changed), tr.View().Commit, pages.Exact)
	}
}

// Moments in the wrong order, or with pages of different sizes, cannot be compared.
func TestBetween_Refuses(t *testing.T) {
	t.Parallel()
	p, mem := newPrimary(t)
	p.Exec(`UPDATE b SET v='x' WHERE id=250`)
	p.Sync()
	tr, tl := open(t, mem)
	a, err := tl.At(t.Context(), 1)
	must(t, err)
	if _, err := Between(t.Context(), tr, tr.View(), a); err == nil {
		t.Error("the wrong order was taken")
	}
}

// The pages that changed belong to the tables that were written to, long values and indexes included.
func TestTrees(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		sql  string
		want []string
	}{
		{"a row", `UPDATE b SET v='x' WHERE id=250`, []string{"b", "b_v"}},
		{"a row, not its index", `UPDATE b SET blob=x'01' WHERE id=250`, []string{"b"}},
		{"a long value", `UPDATE c SET blob=randomblob(90000) WHERE id=17`, []string{"c"}},
		{"many rows of two tables", `INSERT INTO a SELECT id+1000, v, blob FROM b`, []string{"a", "a_v"}},
		{"a long key of an index", `UPDATE a SET v=hex(randomblob(3000)) WHERE id=3`, []string{"a", "a_v"}},
		{"a new table", `CREATE TABLE d AS SELECT * FROM a`, []string{"d", "sqlite_schema"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			p, mem := newPrimary(t)
			from := p.TXID
			p.Exec(tc.sql)
			p.Sync()
			tr, tl := open(t, mem)
			a, err := tl.At(t.Context(), from)
			must(t, err)
			pages, err := Between(t.Context(), tr, a, tr.View())
			must(t, err)
			src := bulk.Source{Store: mem, Mover: tr}
			forest, err := Trees(t.Context(), src, tr.View(), pages.Later())
			must(t, err)
			var got []string
			sum := len(forest.Elsewhere)
			for _, tree := range forest.Trees {
				sum += tree.Pages
				if tree.Root != 1 || slices.Contains(tc.want, "sqlite_schema") { // page 1 changes with each commit
					got = append(got, tree.Name)
				}
			}
			slices.Sort(got)
			slices.Sort(tc.want)
			if !slices.Equal(got, tc.want) {
				t.Errorf("got %v, want %v", got, tc.want)
			}
			if sum != len(pages.Changed)+pages.Added.Len() {
				t.Errorf("%d pages are accounted for, of %d", sum, len(pages.Changed)+pages.Added.Len())
			}
			if len(forest.Elsewhere) > 0 {
				t.Errorf("found in no tree: %v", forest.Elsewhere)
			}
		})
	}
}

// What is read to tell whose pages they are is a small part of the database.
func TestTrees_ReadsLittle(t *testing.T) {
	t.Parallel()
	mem := new(memstore.Store)
	p := primary.New(t, mem, primary.Options{})
	p.Exec(`CREATE TABLE a(id INTEGER PRIMARY KEY, v TEXT, blob BLOB)`)
	p.Exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<20000)
		INSERT INTO a(v) SELECT hex(randomblob(50)) FROM n`)
	p.Exec(`CREATE INDEX a_v ON a(v)`)
	from := p.Sync()
	p.Exec(`UPDATE a SET blob=x'01' WHERE id=15000`)
	p.Sync()
	count := objstore.NewMetrics(mem)
	tr, tl := open(t, count)
	a, err := tl.At(t.Context(), from)
	must(t, err)
	pages, err := Between(t.Context(), tr, a, tr.View())
	must(t, err)
	before := count.Stats()
	_, err = Trees(t.Context(), bulk.Source{Store: count, Mover: tr}, tr.View(), pages.Later())
	must(t, err)
	cost := count.Stats().Sub(before)
	if whole := int64(tr.View().Commit) * 4096; cost.BytesIn > whole/4 {
		t.Errorf("%d bytes in %d requests were read, of a database of %d", cost.BytesIn, cost.Gets, whole)
	}
	t.Logf("%d requests, %d bytes; the database has %d", cost.Gets, cost.BytesIn, int64(tr.View().Commit)*4096)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
