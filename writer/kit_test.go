package writer

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/superfly/ltx"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/internal/page1"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/faultstore"
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

// leftBehind returns goroutines of writers that still run, and temporary files, once they have had time to end.
func leftBehind() (left string) {
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		left = ""
		stacks := make([]byte, 4<<20)
		for _, stack := range strings.Split(string(stacks[:runtime.Stack(stacks, true)]), "\n\n")[1:] {
			if strings.Contains(stack, "writer.(*") {
				left += stack + "\n\n"
			}
		}
		for _, kind := range []string{"tx", "upload", "log"} {
			files, _ := filepath.Glob(filepath.Join(os.TempDir(), "litefs-s3-"+kind+"-*"))
			left += strings.Join(files, "\n")
		}
		if left == "" || time.Now().After(deadline) {
			return left
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want %v", err, want)
	}
}

// image is a whole database by page.
type image map[uint32][]byte

// database is a Writer with an oracle: what was committed, page by page, after each commit.
type database struct {
	*Writer
	t        testing.TB
	store    objstore.Store // as the writer sees it
	mem      objstore.Store // as it is
	opts     Options
	pageSize uint32
	rng      *rand.Rand
	now      image
	size     uint32
}

const testPageSize = 512

// openTracker opens the replica in store, or returns nil when there is nothing.
func openTracker(ctx context.Context, store objstore.Store) (Replica, error) {
	tr, err := index.Open(ctx, store, index.Options{PollInterval: -1})
	if err != nil {
		return nil, err
	}
	return tr, nil
}

// tryOpen opens a Writer with whatever is in the bucket.
func tryOpen(store, mem objstore.Store, opts Options) (*Writer, error) {
	ctx := context.Background()
	if opts.OpenReplica == nil {
		opts.OpenReplica = func(ctx context.Context) (Replica, error) { return openTracker(ctx, mem) }
	}
	r, err := opts.OpenReplica(ctx)
	if err != nil && !errors.Is(err, index.ErrNoReplica) {
		return nil, err
	}
	return Open(ctx, store, r, opts)
}

func testOptions(t testing.TB) Options {
	return Options{
		Replica: "mem", LogPath: filepath.Join(t.TempDir(), "commits"), SyncInterval: -1, TempDir: t.TempDir(), LeaseTTL: time.Hour,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
}

func newDatabase(t testing.TB, store objstore.Store, opts Options) *database {
	t.Helper()
	d := &database{t: t, store: store, mem: store, opts: opts, pageSize: testPageSize, rng: rand.New(rand.NewPCG(1, 2)), now: image{}}
	d.open()
	must(t, d.Acquire(t.Context()))
	return d
}

// open opens the Writer, and closes it when the test ends.
func (d *database) open() {
	d.t.Helper()
	w, err := tryOpen(d.store, d.mem, d.opts)
	must(d.t, err)
	d.Writer = w
	d.t.Cleanup(func() { // what is left to upload does not matter
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = w.Close(ctx)
	})
}

// crash goes on with what is on the disk now. The Writer before is used no more.
func (d *database) crash() {
	d.t.Helper()
	path := filepath.Join(d.t.TempDir(), "commits")
	must(d.t, os.CopyFS(path, os.DirFS(d.opts.LogPath)))
	d.opts.LogPath = path
}

// page is a page with content that nobody else has.
func (d *database) page(pgno uint32) []byte {
	p := make([]byte, d.pageSize)
	binary.BigEndian.PutUint32(p, pgno)
	binary.BigEndian.PutUint64(p[4:], d.rng.Uint64())
	if d.rng.IntN(3) == 0 {
		for i := 12; i < len(p); i++ {
			p[i] = byte(d.rng.Uint32())
		}
	}
	if pgno == 1 {
		copy(p, "SQLite format 3\x00")
		binary.BigEndian.PutUint16(p[page1.PageSize:], uint16(d.pageSize%65536|d.pageSize>>16))
		p[page1.WriteVersion], p[page1.ReadVersion], p[page1.Reserved] = 1, 1, 0
	}
	return p
}

// write makes a transaction in the Writer, and in a copy of the oracle that it returns.
func (d *database) write(size uint32, pgnos ...uint32) (*Tx, image, error) {
	tx, err := d.Begin(context.Background(), d.Snapshot())
	if err != nil {
		return nil, nil, err
	}
	next := make(image, len(d.now))
	for pgno, p := range d.now {
		if pgno <= size {
			next[pgno] = p
		}
	}
	for pgno := uint32(1); pgno <= size; pgno++ {
		if next[pgno] == nil {
			next[pgno] = make([]byte, d.pageSize) // grown over
		}
	}
	for _, pgno := range append([]uint32{1}, pgnos...) {
		p := d.page(pgno)
		if err := tx.WritePage(pgno, p); err != nil {
			tx.Rollback()
			return nil, nil, err
		}
		if pgno <= size {
			next[pgno] = p
		}
	}
	return tx, next, nil
}

// try commits a transaction, and notes it in the oracle if that works.
func (d *database) try(size uint32, pgnos ...uint32) error {
	tx, next, err := d.write(size, pgnos...)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	s, err := tx.Commit(context.Background(), size)
	if s != nil {
		d.now, d.size = next, size
	}
	return err
}

func (d *database) commit(size uint32, pgnos ...uint32) {
	d.t.Helper()
	must(d.t, d.try(size, pgnos...))
}

// commitSome commits something at random.
func (d *database) commitSome() error {
	size := d.size
	switch d.rng.IntN(6) {
	case 0:
		size += d.rng.Uint32N(20)
	case 1:
		size = max(1, size-min(size, d.rng.Uint32N(10)))
	case 2:
		size = min(size, 60) // so that checks stay quick
	}
	size = max(size, 1)
	var pgnos []uint32
	for range d.rng.IntN(8) {
		pgnos = append(pgnos, 1+d.rng.Uint32N(size+2))
	}
	return d.try(size, pgnos...)
}

func (d *database) sync() {
	d.t.Helper()
	must(d.t, d.Sync(context.Background()))
}

// check compares the newest Snapshot with the oracle, every page.
func (d *database) check() {
	d.t.Helper()
	checkSnapshot(d.t, d.mem, d.Snapshot(), d.now, d.size)
}

func checkSnapshot(t testing.TB, store objstore.Store, s *Snapshot, want image, size uint32) {
	t.Helper()
	if s.Commit() != size {
		t.Fatalf("%d pages, want %d", s.Commit(), size)
	}
	for pgno := uint32(1); pgno <= size; pgno++ {
		if pgno == ltx.LockPgno(s.PageSize()) {
			continue
		}
		got, err := readPage(store, s, pgno)
		must(t, err)
		if !bytes.Equal(got, want[pgno]) {
			t.Fatalf("page %d of %d is not what was committed", pgno, size)
		}
	}
}

// readPage reads a page as the VFS does: from the overlay, or from the bucket.
func readPage(store objstore.Store, s *Snapshot, pgno uint32) ([]byte, error) {
	page := make([]byte, s.PageSize())
	if ok, err := s.ReadPage(pgno, page); ok || err != nil {
		return page, err
	}
	if s.Base() == nil {
		return nil, fmt.Errorf("page %d is neither local nor in a bucket", pgno)
	}
	p, ok := s.Base().Lookup(pgno)
	if !ok {
		return nil, fmt.Errorf("page %d has no frame at txid %s", pgno, s.Base().TXID)
	}
	frame := make([]byte, p.Frame.Size)
	if err := store.ReadAt(context.Background(), p.Frame.File.Ref(), frame, p.Frame.Off); err != nil {
		return nil, err
	}
	return page, index.DecodeFrame(frame, pgno, page)
}

// checkBucket restores what is in the bucket as Litestream does, and compares every page. It returns the last TXID.
func checkBucket(t testing.TB, store objstore.Store, want image, size uint32) index.TXID {
	t.Helper()
	file, txid := restore(t, store)
	if len(want) == 0 && txid == 0 {
		return 0
	}
	pageSize := len(want[1])
	if len(file) != int(size)*pageSize {
		t.Fatalf("restored %d bytes, want %d pages of %d", len(file), size, pageSize)
	}
	for pgno := uint32(1); pgno <= size; pgno++ {
		if !bytes.Equal(file[int(pgno-1)*pageSize:int(pgno)*pageSize], want[pgno]) && pgno != ltx.LockPgno(uint32(pageSize)) {
			t.Fatalf("restored page %d is not what was committed", pgno)
		}
	}
	return txid
}

// restore merges all L0 files in order and decodes the database.
func restore(t testing.TB, store objstore.Store) ([]byte, index.TXID) {
	t.Helper()
	merged, last := mergeAll(t, store)
	if last == 0 {
		return nil, 0
	}
	var file bytes.Buffer
	must(t, ltx.NewDecoder(merged).DecodeDatabaseTo(&file))
	return file.Bytes(), last
}

// mergeAll merges all L0 files in order into one. It returns the last TXID.
func mergeAll(t testing.TB, store objstore.Store) (*bytes.Buffer, index.TXID) {
	t.Helper()
	objects, err := objstore.ListAll(context.Background(), store, "0000/", "")
	must(t, err)
	var inputs []io.Reader
	last := index.TXID(0)
	for _, o := range objects {
		_, lo, hi, ok := index.ParseKey(o.Key)
		if !ok || lo != hi || lo != last+1 {
			t.Fatalf("%s after txid %s", o.Key, last)
		}
		last = hi
		part, err := store.ReadPrefix(context.Background(), objstore.Ref{Key: o.Key}, 1<<40)
		must(t, err)
		inputs = append(inputs, bytes.NewReader(part.Data))
	}
	if last == 0 {
		return nil, 0
	}
	var merged bytes.Buffer
	c, err := ltx.NewCompactor(&merged, inputs)
	must(t, err)
	c.HeaderFlags = ltx.HeaderFlagNoChecksum
	must(t, c.Compact(context.Background()))
	return &merged, last
}

// foreignCommit puts the next TXID as somebody else would, who changes page 2.
func foreignCommit(t testing.TB, store objstore.Store) index.TXID {
	t.Helper()
	tr, err := index.Open(context.Background(), store, index.Options{PollInterval: -1})
	must(t, err)
	v := tr.View()
	var buf bytes.Buffer
	enc, err := ltx.NewEncoder(&buf)
	must(t, err)
	must(t, enc.EncodeHeader(ltx.Header{
		Version: ltx.Version, Flags: ltx.HeaderFlagNoChecksum, PageSize: v.PageSize, Commit: v.Commit,
		MinTXID: v.TXID + 1, MaxTXID: v.TXID + 1, Timestamp: time.Now().UnixMilli(), WALOffset: 32,
	}))
	must(t, enc.EncodePage(ltx.PageHeader{Pgno: 2}, bytes.Repeat([]byte{0xf0}, int(v.PageSize))))
	must(t, enc.Close())
	f := index.File{Min: v.TXID + 1, Max: v.TXID + 1}
	_, err = store.Put(context.Background(), f.Key(), bytes.NewReader(buf.Bytes()), objstore.PutOptions{OnlyCreate: true})
	must(t, err)
	return f.Max
}

// breaker is a store that can be down.
type breaker struct{ down atomic.Bool }

func (b *breaker) wrap(store objstore.Store) objstore.Store {
	return faultstore.Wrap(store, func(context.Context, faultstore.Call) faultstore.Action {
		if b.down.Load() {
			return faultstore.Action{Mode: faultstore.Refuse}
		}
		return faultstore.Action{}
	})
}

// other is a second process on the same bucket.
func (d *database) other(owner string) *database {
	d.t.Helper()
	opts := testOptions(d.t)
	opts.Owner, opts.Clock, opts.LeaseTTL = owner, d.opts.Clock, d.opts.LeaseTTL
	o := &database{t: d.t, store: d.mem, mem: d.mem, opts: opts, pageSize: d.pageSize, rng: rand.New(rand.NewPCG(9, 9)), now: d.now, size: d.size}
	o.open()
	return o
}
