// Package primary is a primary database that replicates by hand, for tests: a local SQLite file whose changes become LTX files
// in Litestream's shape whenever the test says so, with compaction, snapshots and expiry at any boundary, and an image of the
// database at every TXID to compare against.
//
//	p := primary.New(t, new(memstore.Store), primary.Options{})
//	p.Exec(`CREATE TABLE t(x)`)
//	txid := p.Sync()                 // one L0 file
//	p.Compact(1, 1, txid)            // L1 from all of L0
//	p.Expire(0, txid)                // L0 files up to txid are gone
//
// The real Litestream is in package servers; this one is for what takes the real one hours, or luck.
package primary

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/superfly/ltx"

	_ "github.com/ncruces/go-sqlite3/driver" // the primary is a plain SQLite file

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
)

// Options of a Primary. The zero value is a database of 4096-byte pages by the wall clock.
type Options struct {
	PageSize int              // bytes
	Pragmas  []string         // executed first, for instance "auto_vacuum=full"
	Now      func() time.Time // the writer's clock; nil is time.Now
}

// Primary is the database and its replica. It is used by one goroutine at a time.
type Primary struct {
	DB    *sql.DB
	Path  string
	Store objstore.Store
	TXID  ltx.TXID // last one synced

	t      testing.TB
	opts   Options
	image  []byte // at TXID
	images map[ltx.TXID][]byte
	times  map[ltx.TXID]time.Time
	files  map[int][]span // of each level
}

// span is a file's TXIDs.
type span struct{ min, max ltx.TXID }

// New returns an empty primary whose replica is in store, at keys that begin below the replica's prefix.
func New(t testing.TB, store objstore.Store, opts Options) *Primary {
	t.Helper()
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.PageSize == 0 {
		opts.PageSize = 4096
	}
	p := &Primary{
		Path: filepath.Join(t.TempDir(), "primary.db"), Store: store, t: t, opts: opts,
		images: map[ltx.TXID][]byte{}, times: map[ltx.TXID]time.Time{}, files: map[int][]span{},
	}
	var err error
	if p.DB, err = sql.Open("sqlite3", "file:"+p.Path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.DB.Close() })
	p.DB.SetMaxOpenConns(1)
	p.Exec(fmt.Sprintf("PRAGMA page_size=%d", opts.PageSize))
	for _, pragma := range opts.Pragmas {
		p.Exec("PRAGMA " + pragma)
	}
	return p
}

// Exec runs statements on the primary. Sync makes them part of the replica.
func (p *Primary) Exec(query string, args ...any) {
	p.t.Helper()
	if _, err := p.DB.Exec(query, args...); err != nil {
		p.t.Fatalf("primary: %s: %v", query, err)
	}
}

// Sync writes what has changed as the L0 file of the next TXID, and returns it; the last TXID when nothing has changed.
func (p *Primary) Sync() ltx.TXID {
	p.t.Helper()
	image, err := os.ReadFile(p.Path)
	if err != nil {
		p.t.Fatal(err)
	}
	pages := diff(p.image, image, p.opts.PageSize)
	if len(pages) == 0 && len(image) == len(p.image) {
		return p.TXID
	}
	p.TXID++
	p.image, p.images[p.TXID], p.times[p.TXID] = image, image, p.opts.Now().Truncate(time.Millisecond)
	p.write(0, p.TXID, p.TXID, pages, image)
	return p.TXID
}

// diff returns the pages of next that differ from those of last, by number; the lock page is never one.
func diff(last, next []byte, pageSize int) map[uint32][]byte {
	pages := map[uint32][]byte{}
	for off := 0; off < len(next); off += pageSize {
		page := next[off : off+pageSize]
		if off+pageSize > len(last) || !bytes.Equal(page, last[off:off+pageSize]) {
			pages[uint32(off/pageSize)+1] = page
		}
	}
	return pages
}

// write stores one LTX file.
func (p *Primary) write(level int, lo, hi ltx.TXID, pages map[uint32][]byte, image []byte) {
	p.t.Helper()
	p.files[level] = append(p.files[level], span{lo, hi})
	b, err := Encode(ltx.Header{
		Version: ltx.Version, Flags: ltx.HeaderFlagNoChecksum, PageSize: uint32(p.opts.PageSize),
		Commit: uint32(len(image) / p.opts.PageSize), MinTXID: lo, MaxTXID: hi,
		Timestamp: p.times[hi].UnixMilli(), WALOffset: 32,
	}, pages)
	if err != nil {
		p.t.Fatal(err)
	}
	f := index.File{Level: level, Min: lo, Max: hi}
	_, err = p.Store.Put(context.Background(), f.Key(), bytes.NewReader(b), objstore.PutOptions{Timestamp: p.times[hi]})
	if err != nil {
		p.t.Fatal(err)
	}
}

// Encode returns an LTX file with the given pages.
func Encode(h ltx.Header, pages map[uint32][]byte) ([]byte, error) {
	var buf bytes.Buffer
	enc, err := ltx.NewEncoder(&buf)
	if err != nil {
		return nil, err
	}
	if err := enc.EncodeHeader(h); err != nil {
		return nil, err
	}
	for _, pgno := range slices.Sorted(maps.Keys(pages)) {
		if err := enc.EncodePage(ltx.PageHeader{Pgno: pgno}, pages[pgno]); err != nil {
			return nil, err
		}
	}
	err = enc.Close() // before Bytes: it writes the end of the file
	return buf.Bytes(), err
}

// Compact merges the files of the level below that lie within lo to hi into one file of the given level.
func (p *Primary) Compact(level int, lo, hi ltx.TXID) {
	p.t.Helper()
	var inputs []io.Reader
	for _, s := range p.files[level-1] {
		if s.min >= lo && s.max <= hi {
			inputs = append(inputs, bytes.NewReader(p.Read(level-1, s.min, s.max)))
		}
	}
	var buf bytes.Buffer
	c, err := ltx.NewCompactor(&buf, inputs)
	if err != nil {
		p.t.Fatal(err)
	}
	c.HeaderFlags = ltx.HeaderFlagNoChecksum
	if err := c.Compact(context.Background()); err != nil {
		p.t.Fatalf("compact L%d %s-%s from %d files: %v", level, lo, hi, len(inputs), err)
	}
	h := c.Header()
	f := index.File{Level: level, Min: h.MinTXID, Max: h.MaxTXID}
	p.files[level] = append(p.files[level], span{h.MinTXID, h.MaxTXID})
	opts := objstore.PutOptions{Timestamp: time.UnixMilli(h.Timestamp)}
	if _, err := p.Store.Put(context.Background(), f.Key(), bytes.NewReader(buf.Bytes()), opts); err != nil {
		p.t.Fatal(err)
	}
}

// Snapshot writes the whole database as of the last TXID to level 9.
func (p *Primary) Snapshot() {
	p.t.Helper()
	p.write(index.SnapshotLevel, 1, p.TXID, diff(nil, p.image, p.opts.PageSize), p.image)
}

// Expire removes the files of a level whose last TXID is at most upTo.
func (p *Primary) Expire(level int, upTo ltx.TXID) {
	p.t.Helper()
	p.files[level] = slices.DeleteFunc(p.files[level], func(s span) bool {
		if s.max > upTo {
			return false
		}
		f := index.File{Level: level, Min: s.min, Max: s.max}
		if err := p.Store.Delete(context.Background(), f.Key()); err != nil {
			p.t.Fatal(err)
		}
		return true
	})
}

// Read returns the bytes of a file of the replica.
func (p *Primary) Read(level int, lo, hi ltx.TXID) []byte {
	p.t.Helper()
	f := index.File{Level: level, Min: lo, Max: hi}
	part, err := p.Store.ReadPrefix(context.Background(), f.Ref(), 1<<30)
	if err != nil {
		p.t.Fatal(err)
	}
	return part.Data
}

// Image is the database file as of txid.
func (p *Primary) Image(txid ltx.TXID) []byte { return p.images[txid] }

// Time is when txid was synced, by the writer's clock, to the millisecond.
func (p *Primary) Time(txid ltx.TXID) time.Time { return p.times[txid] }

// CheckSame compares what a connection reads, every row of every table, with the database as of txid.
func (p *Primary) CheckSame(txid ltx.TXID, db *sql.DB) {
	p.t.Helper()
	path := filepath.Join(p.t.TempDir(), "image.db")
	if err := os.WriteFile(path, p.images[txid], 0o600); err != nil {
		p.t.Fatal(err)
	}
	oracle, err := sql.Open("sqlite3", "file:"+path)
	if err != nil {
		p.t.Fatal(err)
	}
	defer oracle.Close()
	want, got := Dump(p.t, oracle), Dump(p.t, db)
	if want != got {
		p.t.Errorf("at txid %s the replica does not read as the primary did:\n%s", txid, firstDifference(want, got))
	}
}

func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(w), len(g)) {
		if w[i] != g[i] {
			return fmt.Sprintf("line %d: want %.200s\n got %.200s", i, w[i], g[i])
		}
	}
	return fmt.Sprintf("want %d lines, got %d", len(w), len(g))
}

// Querier is a *sql.DB, *sql.Conn or *sql.Tx.
type Querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// Dump returns schema, page count and every row of every table as text.
func Dump(t testing.TB, db Querier) string {
	t.Helper()
	dump, err := TryDump(db)
	if err != nil {
		t.Fatal(err)
	}
	return dump
}

// TryDump is Dump for moments that may expire while they are read.
func TryDump(db Querier) (string, error) {
	var out, tables strings.Builder
	if err := query(db, &out, "PRAGMA page_count"); err != nil {
		return "", err
	}
	if err := query(db, &tables, "SELECT name FROM sqlite_schema WHERE type='table' AND name NOT LIKE 'sqlite_%' ORDER BY name"); err != nil {
		return "", err
	}
	if err := query(db, &out, "SELECT type,name,tbl_name,rootpage,sql FROM sqlite_schema ORDER BY rowid"); err != nil {
		return "", err
	}
	for _, table := range strings.Fields(tables.String()) {
		fmt.Fprintf(&out, "table %s\n", table)
		if err := query(db, &out, fmt.Sprintf("SELECT * FROM %q", table)); err != nil {
			return "", err
		}
	}
	return out.String(), nil
}

func query(db Querier, out *strings.Builder, q string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s: %w", q, err)
		}
	}()
	rows, err := db.QueryContext(context.Background(), q)
	if err != nil {
		return err
	}
	defer rows.Close()
	cols, err := rows.Columns()
	if err != nil {
		return err
	}
	values := make([]any, len(cols))
	for i := range values {
		values[i] = new(any)
	}
	for rows.Next() {
		if err := rows.Scan(values...); err != nil {
			return err
		}
		for i, v := range values {
			if i > 0 {
				out.WriteByte('|')
			}
			fmt.Fprint(out, *v.(*any))
		}
		out.WriteByte('\n')
	}
	return rows.Err()
}
