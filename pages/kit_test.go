package pages

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/superfly/ltx"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

// replica is a writer with its compactor, and the oracle: which transaction wrote each page last, at each TXID.
type replica struct {
	store    *memstore.Store
	pageSize uint32
	mu       sync.RWMutex
	states   []state   // by TXID; guarded by mu
	made     *sync.Map // content made before, by version
	// interior says which pages look like interior pages of a b-tree. Nil means one in a hundred.
	interior func(pgno uint32) bool
}

type version struct {
	pgno uint32
	txid index.TXID
}

type state struct {
	commit   uint32
	versions map[uint32]index.TXID
}

func newReplica(pageSize uint32) *replica {
	return &replica{store: new(memstore.Store), pageSize: pageSize, states: []state{{}}, made: new(sync.Map)}
}

// clone returns a replica that is the same, and changes on its own.
func (r *replica) clone() *replica {
	c := newReplica(r.pageSize)
	c.states, c.made = slices.Clone(r.states), r.made
	for _, o := range r.store.Objects() {
		_, err := c.store.Put(context.Background(), o.Key, bytes.NewReader(o.Data), objstore.PutOptions{})
		c.must(err)
	}
	return c
}

func (r *replica) head() index.TXID {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return index.TXID(len(r.states) - 1)
}

func (r *replica) state(txid index.TXID) state {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.states[txid]
}

// page is the content of a page as of the transaction that wrote it: a function of both, and about half of it does not
// compress.
func (r *replica) page(pgno uint32, version index.TXID) []byte {
	p := make([]byte, r.pageSize)
	kind := byte(13)
	if interior := r.interior; interior == nil && pgno%100 == 0 || interior != nil && interior(pgno) {
		kind = 5
	}
	p[0] = kind
	if pgno == 1 {
		p[100] = kind
	}
	binary.BigEndian.PutUint32(p[4:], pgno)
	binary.BigEndian.PutUint64(p[8:], uint64(version))
	rng := rand.NewPCG(uint64(pgno), uint64(version))
	for i := 128; i+8 <= len(p)/2; i += 8 {
		binary.LittleEndian.PutUint64(p[i:], rng.Uint64())
	}
	return p
}

// at is what page pgno must hold at txid.
func (r *replica) at(txid index.TXID, pgno uint32) []byte {
	k := version{pgno, r.state(txid).versions[pgno]}
	if p, ok := r.made.Load(k); ok {
		return p.([]byte)
	}
	p := r.page(k.pgno, k.txid)
	r.made.Store(k, p)
	return p
}

// commit makes a transaction of the pages, and those that the database grows by, and writes its L0 file.
func (r *replica) commit(size uint32, pgnos ...uint32) index.TXID {
	before := r.state(r.head())
	s := state{commit: size, versions: maps.Clone(before.versions)}
	if s.versions == nil {
		s.versions = map[uint32]index.TXID{}
	}
	maps.DeleteFunc(s.versions, func(pgno uint32, _ index.TXID) bool { return pgno > size })
	for pgno := before.commit + 1; pgno <= size; pgno++ {
		pgnos = append(pgnos, pgno)
	}
	slices.Sort(pgnos)
	pgnos = slices.Compact(pgnos)
	for _, pgno := range pgnos {
		s.versions[pgno] = r.head() + 1
	}
	r.mu.Lock()
	r.states = append(r.states, s)
	r.mu.Unlock()
	r.put(0, r.head(), pgnos)
	return r.head()
}

// snapshot writes the whole database to level 9.
func (r *replica) snapshot() {
	var pgnos []uint32
	for pgno := uint32(1); pgno <= r.state(r.head()).commit; pgno++ {
		pgnos = append(pgnos, pgno)
	}
	r.put(index.SnapshotLevel, 1, pgnos)
}

// put writes an LTX file from first to the head.
func (r *replica) put(level int, first index.TXID, pgnos []uint32) {
	head := r.head()
	var buf bytes.Buffer
	enc, err := ltx.NewEncoder(&buf)
	r.must(err)
	r.must(enc.EncodeHeader(ltx.Header{
		Version: ltx.Version, Flags: ltx.HeaderFlagNoChecksum, PageSize: r.pageSize, Commit: r.state(head).commit,
		MinTXID: first, MaxTXID: head, Timestamp: 1_700_000_000_000 + int64(head), WALOffset: 32,
	}))
	for _, pgno := range pgnos {
		r.must(enc.EncodePage(ltx.PageHeader{Pgno: pgno}, r.at(head, pgno)))
	}
	r.must(enc.Close())
	r.putFile(index.File{Level: level, Min: first, Max: head}, buf.Bytes())
}

func (r *replica) putFile(f index.File, data []byte) {
	_, err := r.store.Put(context.Background(), f.Key(), bytes.NewReader(data), objstore.PutOptions{})
	r.must(err)
}

// merge writes L0 files from first to last as one file of a higher level.
func (r *replica) merge(level int, first, last index.TXID) {
	var in []io.Reader
	for txid := first; txid <= last; txid++ {
		in = append(in, bytes.NewReader(r.object(index.File{Min: txid, Max: txid})))
	}
	var buf bytes.Buffer
	c, err := ltx.NewCompactor(&buf, in)
	r.must(err)
	c.HeaderFlags = ltx.HeaderFlagNoChecksum
	r.must(c.Compact(context.Background()))
	r.putFile(index.File{Level: level, Min: first, Max: last}, buf.Bytes())
}

func (r *replica) object(f index.File) []byte {
	for _, o := range r.store.Objects() {
		if o.Key == f.Key() {
			return o.Data
		}
	}
	panic(f.String() + " is not there")
}

// remove deletes L0 files from first to last.
func (r *replica) remove(level int, first, last index.TXID) {
	for txid := first; txid <= last; txid++ {
		f := index.File{Level: level, Min: txid, Max: txid}
		r.must(r.store.Delete(context.Background(), f.Key()))
	}
}

func (r *replica) must(err error) {
	if err != nil {
		panic(err)
	}
}

// get is one range GET.
type get struct {
	key    string
	off, n int64
}

// has reports whether the GET brings the frame of p.
func (g get) has(p index.Page) bool { return g.off <= p.Frame.Off && end(p) <= g.off+g.n }

// spy is a store that remembers its GETs, and asks before each one.
type spy struct {
	objstore.Store
	// before, when set, is called before each ReadAt. An error is that of the request.
	before   atomic.Pointer[func(ctx context.Context, g get) error]
	inFlight atomic.Int64

	mu   sync.Mutex
	gets []get // guarded by mu
}

func (s *spy) ReadAt(ctx context.Context, ref objstore.Ref, p []byte, off int64) error {
	s.inFlight.Add(1)
	defer s.inFlight.Add(-1)
	g := get{key: ref.Key, off: off, n: int64(len(p))}
	s.mu.Lock()
	s.gets = append(s.gets, g)
	s.mu.Unlock()
	if before := s.before.Load(); before != nil {
		if err := (*before)(ctx, g); err != nil {
			return &objstore.OpError{Op: "get", Key: ref.Key, Err: err}
		}
	}
	return s.Store.ReadAt(ctx, ref, p, off)
}

// hook sets what is asked before each ReadAt.
func (s *spy) hook(f func(ctx context.Context, g get) error) { s.before.Store(&f) }

// delay makes each ReadAt wait.
func (s *spy) delay(d time.Duration) {
	s.hook(func(ctx context.Context, _ get) error { return sleep(ctx, d) })
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// hang makes each ReadAt wait for the end of its context. The channel tells of each that began.
func (s *spy) hang() <-chan get {
	begun := make(chan get, 1000)
	s.hook(func(ctx context.Context, g get) error {
		begun <- g
		<-ctx.Done()
		return ctx.Err()
	})
	return begun
}

// clear takes a hook away.
func (s *spy) clear() { s.before.Store(nil) }

// take returns the GETs since it was called last, ordered by file and offset.
func (s *spy) take() []get {
	s.mu.Lock()
	defer s.mu.Unlock()
	gets := s.gets
	s.gets = nil
	slices.SortFunc(gets, func(a, b get) int {
		if a.key != b.key {
			return bytes.Compare([]byte(a.key), []byte(b.key))
		}
		return int(a.off - b.off)
	})
	return gets
}

func sum(gets []get) (n int64) {
	for _, g := range gets {
		n += g.n
	}
	return n
}

// world is a replica, and a process that reads it.
type world struct {
	t testing.TB
	*replica
	spy     *spy
	tracker *index.Tracker
	cache   *Cache
	source  *Source
	shares  bool // the cache, with another one
}

// huge is a budget that holds everything.
const huge = 1 << 40

// open reads the replica with a cache of budget bytes. What came with the indexes is not admitted: see openAdmitting.
func (r *replica) open(t testing.TB, budget int64) *world {
	t.Helper()
	w := &world{t: t, replica: r, spy: &spy{Store: r.store}, cache: NewCache(budget)}
	var err error
	w.tracker, err = index.Open(context.Background(), w.spy, index.Options{})
	w.must(err)
	w.source = NewSource(w.spy, w.tracker, w.cache)
	w.begin()
	return w
}

// openAdmitting is open, and keeps what came with the indexes.
func (r *replica) openAdmitting(t testing.TB, budget int64) *world {
	t.Helper()
	w := &world{t: t, replica: r, spy: &spy{Store: r.store}, cache: NewCache(budget)}
	w.source = NewSource(w.spy, rehomer(func(ctx context.Context, v *index.View, gone *index.File) error {
		return w.tracker.Rehome(ctx, v, gone)
	}), w.cache)
	var err error
	w.tracker, err = index.Open(context.Background(), w.spy, index.Options{OnLoad: w.source.Admit})
	w.must(err)
	w.begin()
	return w
}

// rehomer is a Rehomer.
type rehomer func(ctx context.Context, v *index.View, gone *index.File) error

func (f rehomer) Rehome(ctx context.Context, v *index.View, gone *index.File) error {
	return f(ctx, v, gone)
}

func (w *world) begin() {
	w.spy.take()
	w.t.Cleanup(w.close)
}

func (w *world) must(err error) {
	if err != nil {
		w.t.Helper()
		w.t.Fatal(err)
	}
}

// poll moves the head on.
func (w *world) poll() *index.View {
	w.t.Helper()
	w.must(w.tracker.Refresh(context.Background()))
	w.spy.take()
	return w.tracker.View()
}

// lookup is where a page lies.
func (w *world) lookup(v *index.View, pgno uint32) index.Page {
	w.t.Helper()
	p, ok := v.Lookup(pgno)
	if !ok {
		w.t.Fatalf("page %d is not in the view", pgno)
	}
	return p
}

// close checks that nothing is left.
func (w *world) close() {
	w.source.Close()
	if n := w.cache.Used(); n != 0 && !w.shares {
		w.t.Errorf("cache says %d bytes are used after Close", n)
	}
	if n := w.spy.inFlight.Load(); n != 0 {
		w.t.Errorf("%d requests are under way after Close", n)
	}
	if n := len(w.source.flights); n != 0 {
		w.t.Errorf("%d pages are on their way after Close", n)
	}
	w.audit()
}

// audit checks the accounts of the cache against what is in it. Nobody may use it meanwhile.
func (w *world) audit() {
	w.t.Helper()
	var used, interior, fresh, raw int64
	for i := range w.cache.shards {
		for _, e := range append(w.cache.shards[i].pages.Values(), w.cache.shards[i].fresh.Values()...) {
			used += e.size()
			if e.interior {
				interior += e.size()
			}
		}
		for _, e := range w.cache.shards[i].fresh.Values() {
			fresh += e.size()
		}
	}
	for _, b := range w.cache.raw.blobs.Values() {
		raw += blobSize(b)
	}
	if got := w.cache.Used(); got != used+raw {
		w.t.Errorf("cache says %d bytes are used, and %d are", got, used+raw)
	}
	if got := w.cache.interior.Load(); got != interior {
		w.t.Errorf("cache says %d bytes are interior pages, and %d are", got, interior)
	}
	if got := w.cache.fresh.Load(); got != fresh {
		w.t.Errorf("cache says %d bytes are fresh pages, and %d are", got, fresh)
	}
	if got := w.cache.raw.used; got != raw {
		w.t.Errorf("cache says %d bytes are encoded, and %d are", got, raw)
	}
	if got, budget := w.cache.Used(), w.cache.Budget(); got > budget {
		w.t.Errorf("cache uses %d bytes of %d", got, budget)
	}
}

var junk = bytes.Repeat([]byte{0xee}, 65536)

// scanner is a reader that checks what it reads.
type scanner struct {
	*Reader
	w   *world
	buf []byte
	ctx context.Context // of mustRead
}

func (w *world) reader() *scanner {
	r := &scanner{Reader: w.source.NewReader(), w: w, buf: make([]byte, w.pageSize), ctx: context.Background()}
	w.t.Cleanup(r.Close)
	return r
}

// read returns an error when the page cannot be read or is not what the oracle says.
func (s *scanner) read(ctx context.Context, v *index.View, pgno uint32) error {
	copy(s.buf, junk) // nobody else may write here any more
	if err := s.ReadPage(ctx, v, pgno, s.buf); err != nil {
		return err
	}
	if !bytes.Equal(s.buf, s.w.at(v.TXID, pgno)) {
		return fmt.Errorf("page %d at txid %s: wrong content: page %d of txid %d", pgno, v.TXID,
			binary.BigEndian.Uint32(s.buf[4:]), binary.BigEndian.Uint64(s.buf[8:]))
	}
	return nil
}

// mustRead reads pages in order.
func (s *scanner) mustRead(v *index.View, pgnos ...uint32) {
	s.w.t.Helper()
	for _, pgno := range pgnos {
		s.w.must(s.read(s.ctx, v, pgno))
	}
}

// span are the pages from first to last, in that order.
func span(first, last uint32) []uint32 {
	var pgnos []uint32
	if first > last {
		pgnos = span(last, first)
		slices.Reverse(pgnos)
		return pgnos
	}
	for pgno := first; pgno <= last; pgno++ {
		pgnos = append(pgnos, pgno)
	}
	return pgnos
}

// large is a replica of 40 MB of pages in one file that is half as long. Nobody may change it.
var large = sync.OnceValue(func() *replica {
	r := newReplica(4096)
	r.commit(10_000)
	return r
})

// Distrust: the tests' replicas are opened from their files.
func (f rehomer) Distrust(context.Context, *index.View) error { return nil }
