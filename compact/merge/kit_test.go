package merge

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/superfly/ltx"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/integration/primary"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
	"github.com/litefs-s3/litefs-s3/objstore/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// spec is a hand-made file: everything in it may be wrong.
type spec struct {
	level    int
	min, max index.TXID
	commit   uint32
	pageSize uint32
	pages    []uint32 // in the order in which they are written
	seed     byte     // makes the content of pages
	old      bool     // frames of ltx v0.5.1
}

func (s spec) file() index.File { return index.File{Level: s.level, Min: s.min, Max: s.max} }

func (s spec) page(pgno uint32) []byte {
	size := s.pageSize
	if size == 0 {
		size = 512
	}
	page := bytes.Repeat([]byte{s.seed, byte(pgno)}, int(size/2))
	copy(page, fmt.Sprintf("page %d of seed %d", pgno, s.seed))
	return page
}

// encode writes the file as it says, without looking at the sense of it.
func (s spec) encode(t testing.TB) []byte {
	t.Helper()
	size := s.pageSize
	if size == 0 {
		size = 512
	}
	h := ltx.Header{
		Version: ltx.Version, Flags: ltx.HeaderFlagNoChecksum, PageSize: size, Commit: s.commit,
		MinTXID: s.min, MaxTXID: s.max, Timestamp: int64(s.max) * 1000, WALOffset: 32,
	}
	raw, err := h.MarshalBinary()
	must(t, err)
	var out bytes.Buffer
	w := &writer{header: h, index: new(records)}
	w.out = newBufio(&out)
	must(t, w.write(raw))
	for _, pgno := range s.pages {
		frame := s.frame(t, pgno)
		must(t, w.sum.page(pgno, frame, s.page(pgno)))
		_, err := w.out.Write(frame)
		must(t, err)
		must(t, w.index.add(index.Entry{Pgno: pgno, Off: w.off, Size: int64(len(frame))}))
		w.off += int64(len(frame))
	}
	w.header.MinTXID = 2 // no rule but the caller's
	_, err = w.end()
	must(t, err)
	return out.Bytes()
}

func (s spec) frame(t testing.TB, pgno uint32) []byte {
	t.Helper()
	frame, err := index.AppendFrame(nil, pgno, s.page(pgno))
	must(t, err)
	if s.old {
		frame = oldFrame(t, pgno, s.page(pgno))
	}
	return frame
}

func (s spec) put(t testing.TB, store objstore.Store) index.File {
	t.Helper()
	return putBytes(t, store, s.file(), s.encode(t))
}

func putBytes(t testing.TB, store objstore.Store, f index.File, data []byte) index.File {
	t.Helper()
	etag, err := store.Put(context.Background(), f.Key(), bytes.NewReader(data), objstore.PutOptions{})
	must(t, err)
	f.Size, f.ETag = int64(len(data)), etag
	return f
}

// upTo are the pages from 1 to n.
func upTo(n uint32) []uint32 {
	pages := make([]uint32, n)
	for i := range pages {
		pages[i] = uint32(i) + 1
	}
	return pages
}

// contents returns what the file says, after the format's own library has verified it.
func contents(t testing.TB, data []byte) (ltx.Header, map[uint32][]byte) {
	t.Helper()
	must(t, ltx.NewDecoder(bytes.NewReader(data)).Verify())
	dec := ltx.NewDecoder(bytes.NewReader(data))
	must(t, dec.DecodeHeader())
	pages := map[uint32][]byte{}
	for {
		var h ltx.PageHeader
		page := make([]byte, dec.Header().PageSize)
		err := dec.DecodePage(&h, page)
		if err == io.EOF {
			return dec.Header(), pages
		}
		must(t, err)
		pages[h.Pgno] = page
	}
}

func fileBytes(t testing.TB, f *File) []byte {
	t.Helper()
	data := make([]byte, f.Facts.Size)
	_, err := f.Data.ReadAt(data, 0)
	must(t, err)
	return data
}

// build merges, and closes the result at the end of the test.
func build(t testing.TB, store objstore.Store, files []index.File, to Target, opts Options) (*File, error) {
	t.Helper()
	opts.TempDir = t.TempDir()
	f, err := Build(t.Context(), store, files, to, opts)
	if err == nil {
		t.Cleanup(func() {
			must(t, f.Close())
		})
	}
	t.Cleanup(func() { nothingLeft(t, opts.TempDir) })
	return f, err
}

func nothingLeft(t testing.TB, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) > 0 {
		t.Errorf("left behind: %v", entries)
	}
}

// history is a primary that lives through n random transactions, and its level 0 files.
func history(t testing.TB, rnd *rand.Rand, n int, opts primary.Options) (*primary.Primary, *memstore.Store, []index.File) {
	t.Helper()
	store := new(memstore.Store)
	opts.Pragmas = append(opts.Pragmas, "auto_vacuum=full")
	p := primary.New(t, store, opts)
	p.Exec("CREATE TABLE t(id INTEGER PRIMARY KEY, x BLOB)")
	p.Sync()
	for range n - 1 {
		switch rnd.IntN(5) {
		case 0:
			p.Exec("DELETE FROM t WHERE id % 3 = ?", rnd.IntN(3)) // the database shrinks
		case 1, 2:
			p.Exec("INSERT INTO t(x) SELECT randomblob(?) FROM (VALUES (1),(2),(3),(4),(5),(6))", 100+rnd.IntN(3000))
		default:
			p.Exec("UPDATE t SET x = randomblob(300) WHERE id % 7 = ?", rnd.IntN(7))
		}
		p.Exec("INSERT INTO t(x) VALUES (randomblob(10))")
		p.Sync()
	}
	c, err := index.ListAll(t.Context(), store)
	must(t, err)
	return p, store, c.Files
}

// imageOf puts the pages of a complete file together.
func imageOf(h ltx.Header, pages map[uint32][]byte) []byte {
	image := make([]byte, int(h.PageSize)*int(h.Commit))
	for _, pgno := range slices.Sorted(maps.Keys(pages)) {
		copy(image[int(pgno-1)*int(h.PageSize):], pages[pgno])
	}
	return image
}
