package index

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pierrec/lz4/v4"
	"github.com/superfly/ltx"

	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

// content names what a page holds: the transaction of an era that wrote it.
type content struct {
	era  uint32
	pgno uint32
	txid TXID
}

const contentSize = 16

// page returns the bytes of a page with that content. Some pages compress well, some not at all.
func (c content) page(size uint32) []byte {
	p := make([]byte, size)
	rng := rand.NewPCG(uint64(c.era)<<32|uint64(c.pgno), uint64(c.txid))
	n := contentSize + int(rng.Uint64()%uint64(size-contentSize+1))
	for i := contentSize; i < n; i += 8 {
		var b [8]byte
		binary.LittleEndian.PutUint64(b[:], rng.Uint64())
		copy(p[i:n], b[:])
	}
	binary.BigEndian.PutUint32(p, c.era)
	binary.BigEndian.PutUint32(p[4:], c.pgno)
	binary.BigEndian.PutUint64(p[8:], uint64(c.txid))
	return p
}

func contentOf(p []byte) content {
	return content{binary.BigEndian.Uint32(p), binary.BigEndian.Uint32(p[4:]), TXID(binary.BigEndian.Uint64(p[8:]))}
}

// state is the database at one TXID.
type state struct {
	txid   TXID
	commit uint32
	at     time.Time
	pages  map[uint32]content
}

// model is a writer with its compactor and an oracle: the small real program that the tests play against. Its files
// have the shape of Litestream's.
type model struct {
	mu       sync.Mutex // guards all; held by every exported step
	store    *memstore.Store
	to       objstore.Putter // what is put goes there; the store itself when nil
	rng      *rand.Rand
	era      uint32
	pageSize uint32
	old      bool // frames as ltx v0.5.1 encoded them
	ours     bool // headers as our own writer makes them: no log
	states   []*state
	walOff   int64
	salt     uint32
	puts     map[string]time.Time
	fail     func(error) // of the test
}

func newModel(store *memstore.Store, seed uint64, era uint32, pageSize uint32, fail func(error)) *model {
	m := &model{
		store: store, rng: rand.New(rand.NewPCG(seed, uint64(era))), era: era, pageSize: pageSize,
		states: []*state{{pages: map[uint32]content{}}}, puts: map[string]time.Time{}, fail: fail,
	}
	m.checkpoint()
	return m
}

// newTestModel is a model for tests with one history and without chance.
func newTestModel(t testing.TB) *model {
	return newModel(new(memstore.Store), 1, 1, 512, func(err error) { t.Helper(); t.Fatal(err) })
}

func (m *model) check(err error) {
	if err != nil {
		m.fail(err)
	}
}

func (m *model) head() *state { return m.states[len(m.states)-1] }

// checkpoint begins a new write-ahead log.
func (m *model) checkpoint() { m.salt, m.walOff = m.rng.Uint32()|1, 32 }

// commit makes a transaction: the new size and pages to write. Pages grown over are written too, as the format wants.
func (m *model) commit(size uint32, pgnos ...uint32) TXID {
	before := m.head()
	s := &state{txid: before.txid + 1, commit: size, at: time.UnixMilli(time.Now().UnixMilli()).UTC(), pages: maps.Clone(before.pages)}
	for pgno := range before.pages {
		if pgno > size {
			delete(s.pages, pgno)
		}
	}
	write := map[uint32]bool{}
	for _, pgno := range pgnos {
		write[pgno] = true
	}
	for pgno := before.commit + 1; pgno <= size; pgno++ {
		write[pgno] = true
	}
	var written []uint32
	for pgno := range write {
		if pgno >= 1 && pgno <= size && pgno != ltx.LockPgno(m.pageSize) {
			s.pages[pgno] = content{m.era, pgno, s.txid}
			written = append(written, pgno)
		}
	}
	slices.Sort(written)
	m.states = append(m.states, s)
	m.put(0, s.txid, s.txid, m.encode(s, s.txid, written))
	return s.txid
}

// all are the pages of a database of that size.
func (m *model) all(size uint32) []uint32 {
	var pgnos []uint32
	for pgno := uint32(1); pgno <= size; pgno++ {
		if pgno != ltx.LockPgno(m.pageSize) {
			pgnos = append(pgnos, pgno)
		}
	}
	return pgnos
}

func (m *model) header(s *state, first TXID) ltx.Header {
	h := ltx.Header{
		Version: ltx.Version, Flags: ltx.HeaderFlagNoChecksum, PageSize: m.pageSize, Commit: s.commit,
		MinTXID: first, MaxTXID: s.txid, Timestamp: s.at.UnixMilli(), WALOffset: 32,
	}
	if !m.ours {
		h.WALOffset, h.WALSalt1, h.WALSalt2 = m.walOff, m.salt, m.salt+7
	}
	return h
}

func (m *model) encode(s *state, first TXID, pgnos []uint32) []byte {
	h := m.header(s, first)
	if !m.ours && first == s.txid {
		h.WALSize = int64(len(pgnos)) * (int64(m.pageSize) + 24)
		m.walOff += h.WALSize
	}
	return m.file(h, s, pgnos)
}

func (m *model) file(h ltx.Header, s *state, pgnos []uint32) []byte {
	pages := make([][]byte, len(pgnos))
	for i, pgno := range pgnos {
		pages[i] = s.pages[pgno].page(m.pageSize)
	}
	encode := encodeFast
	if m.old {
		encode = encodeOld
	}
	data, err := encode(h, pgnos, pages)
	m.check(err)
	return data
}

// encodeNew writes a file with the encoder of ltx v0.5.3.
func encodeNew(h ltx.Header, pgnos []uint32, pages [][]byte) ([]byte, error) {
	var buf bytes.Buffer
	enc, err := ltx.NewEncoder(&buf)
	if err != nil {
		return nil, err
	}
	if err := enc.EncodeHeader(h); err != nil {
		return nil, err
	}
	for i, pgno := range pgnos {
		if err := enc.EncodePage(ltx.PageHeader{Pgno: pgno}, pages[i]); err != nil {
			return nil, err
		}
	}
	if err := enc.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// encodeOld writes a file as ltx v0.5.1 and earlier did: an LZ4 frame for each page, and no size before it.
func encodeOld(h ltx.Header, pgnos []uint32, pages [][]byte) ([]byte, error) {
	return encodeByHand(h, pgnos, pages, func(pgno uint32, page []byte) (head, payload []byte, err error) {
		payload, err = lz4Frame(page)
		return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint32(nil, pgno), 0), payload, err
	})
}

// encodeFast writes the bytes that encodeNew does without what the library's encoder sets aside for each file.
func encodeFast(h ltx.Header, pgnos []uint32, pages [][]byte) ([]byte, error) {
	c := compressors.Get().(*lz4.Compressor)
	defer compressors.Put(c)
	return encodeByHand(h, pgnos, pages, func(pgno uint32, page []byte) (head, payload []byte, err error) {
		payload = make([]byte, lz4.CompressBlockBound(len(page)))
		n, err := c.CompressBlock(page, payload)
		head = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint32(nil, pgno), ltx.PageHeaderFlagSize)
		return binary.BigEndian.AppendUint32(head, uint32(n)), payload[:n], err
	})
}

var compressors = sync.Pool{New: func() any { return new(lz4.Compressor) }}

// encodeByHand writes a file whose frames are made by encode. What comes before the payload is hashed, the payload is not.
func encodeByHand(h ltx.Header, pgnos []uint32, pages [][]byte, encode func(uint32, []byte) (head, payload []byte, err error)) ([]byte, error) {
	data, err := h.MarshalBinary()
	if err != nil {
		return nil, err
	}
	sum := crc64.New(crcTable)
	sum.Write(data)
	var index []byte
	for i, pgno := range pgnos {
		off := len(data)
		head, payload, err := encode(pgno, pages[i])
		if err != nil {
			return nil, err
		}
		data = append(append(data, head...), payload...)
		sum.Write(head)
		sum.Write(pages[i])
		index = binary.AppendUvarint(index, uint64(pgno))
		index = binary.AppendUvarint(index, uint64(off))
		index = binary.AppendUvarint(index, uint64(len(data)-off))
	}
	index = append(index, 0)
	tail := make([]byte, ltx.PageHeaderSize, ltx.PageHeaderSize+len(index)+tailSize)
	tail = append(tail, index...)
	tail = binary.BigEndian.AppendUint64(tail, uint64(len(index)))
	tail = binary.BigEndian.AppendUint64(tail, 0)
	sum.Write(tail)
	return binary.BigEndian.AppendUint64(append(data, tail...), sum.Sum64()|uint64(ltx.ChecksumFlag)), nil
}

var crcTable = crc64.MakeTable(crc64.ISO)

func lz4Frame(page []byte) ([]byte, error) {
	var buf bytes.Buffer
	zw := lz4.NewWriter(&buf)
	if err := zw.Apply(lz4.BlockSizeOption(lz4.Block64Kb), lz4.ChecksumOption(true)); err != nil {
		return nil, err
	}
	if _, err := zw.Write(page); err != nil {
		return nil, err
	}
	err := zw.Close()
	return buf.Bytes(), err
}

func (m *model) put(level int, lo, hi TXID, data []byte) {
	f := File{Level: level, Min: lo, Max: hi}
	to := m.to
	if to == nil {
		to = m.store
	}
	_, err := to.Put(context.Background(), f.Key(), bytes.NewReader(data), objstore.PutOptions{})
	m.check(err)
}

func (m *model) remove(f File) { m.check(m.store.Delete(context.Background(), f.Key())) }

// files are those of one level in the order of their TXIDs.
func (m *model) files(level int) []File {
	var files []File
	objects, err := objstore.ListAll(context.Background(), m.store, levelPrefix(level), "")
	m.check(err)
	for _, o := range objects { // in the order of their TXIDs
		if l, lo, hi, ok := ParseKey(o.Key); ok {
			files = append(files, File{l, lo, hi, o.Size, o.ETag, o.Modified})
		}
	}
	return files
}

// compact merges up to n files of the level below into one of this level, as Litestream does: those that begin after what
// the level has.
func (m *model) compact(level, n int) bool {
	var done TXID
	for _, f := range m.files(level) {
		done = max(done, f.Max)
	}
	in := slices.DeleteFunc(m.files(level-1), func(f File) bool { return f.Min <= done })
	if len(in) == 0 || in[0].Min != done+1 {
		return false
	}
	m.merge(level, in[:min(n, len(in))]...)
	return true
}

// merge writes one file at the level that holds what the files do, in order.
func (m *model) merge(level int, files ...File) {
	readers := make([]io.Reader, len(files))
	for i, f := range files {
		data := make([]byte, f.Size)
		m.check(m.store.ReadAt(context.Background(), f.Ref(), data, 0))
		readers[i] = bytes.NewReader(data)
	}
	var buf bytes.Buffer
	c, err := ltx.NewCompactor(&buf, readers)
	m.check(err)
	c.HeaderFlags = ltx.HeaderFlagNoChecksum
	m.check(c.Compact(context.Background()))
	m.put(level, files[0].Min, files[len(files)-1].Max, buf.Bytes())
}

// snapshot writes the whole database at the head to level 9.
func (m *model) snapshot() {
	s := m.head()
	h := m.header(s, 1)
	h.Timestamp = time.Now().UnixMilli() // of when it was taken
	m.put(SnapshotLevel, 1, s.txid, m.file(h, s, m.all(s.commit)))
}

// expireL0 removes what was merged and is old enough; the newest always stays.
func (m *model) expireL0(keep time.Duration) {
	var merged TXID
	for _, f := range m.files(1) {
		merged = max(merged, f.Max)
	}
	files := m.files(0)
	for i, f := range files {
		if i == len(files)-1 || f.Max > merged || time.Since(f.Modified) < keep {
			break
		}
		m.remove(f)
	}
}

// expireAll removes snapshots older than keep but the newest, and merged files below what was removed.
func (m *model) expireAll(keep time.Duration) {
	var floor TXID
	snapshots := m.files(SnapshotLevel)
	for i, f := range snapshots {
		if i < len(snapshots)-1 && time.Since(f.Modified) >= keep {
			m.remove(f)
			floor = max(floor, f.Max)
		}
	}
	for level := 1; level <= 3; level++ {
		files := m.files(level)
		for i, f := range files {
			if i < len(files)-1 && f.Max < floor {
				m.remove(f)
			}
		}
	}
}

// wipe removes every object, as somebody does who begins anew.
func (m *model) wipe() { m.check(m.store.Delete(context.Background(), m.store.Keys()...)) }

// transaction makes a random change.
func (m *model) transaction() {
	before := m.head()
	size := max(before.commit, 1)
	var pgnos []uint32
	some := func(n int) {
		for range 1 + m.rng.IntN(n) {
			pgnos = append(pgnos, 1+m.rng.Uint32N(size))
		}
	}
	switch k := m.rng.IntN(20); {
	case before.commit == 0:
		size = 1 + m.rng.Uint32N(12)
	case k < 11:
		some(4)
	case k < 14: // growth
		size += 1 + m.rng.Uint32N(8)
		some(3)
	case k < 17: // shrink
		size = 1 + m.rng.Uint32N(size)
		some(3)
	case k < 18: // all pages again, as after a break in the log
		pgnos = m.all(size)
	case k < 19: // the log's sequence table only
		pgnos = []uint32{1 + m.rng.Uint32N(size)}
	default: // nothing but a new size
		size = 1 + m.rng.Uint32N(size)
		pgnos = []uint32{1}
	}
	if m.rng.IntN(10) == 0 {
		m.checkpoint()
	}
	m.commit(size, append(pgnos, 1)...)
}

// pageKey is a cache key as readers use it.
type pageKey struct {
	history uint32
	pgno    uint32
	version TXID
}

// witness compares Views with the oracles of the eras that were under the prefix, and remembers which content every
// cache key had: it must be the same for ever.
type witness struct {
	lock  sync.Locker // guards the models, when they go on meanwhile; nil otherwise
	mu    sync.Mutex
	store Reader
	eras  map[uint32]*model
	seen  map[pageKey]content
	era   map[uint32]uint32 // by history
}

func newWitness(store Reader, models ...*model) *witness {
	w := &witness{store: store, eras: map[uint32]*model{}, seen: map[pageKey]content{}, era: map[uint32]uint32{}}
	for _, m := range models {
		w.eras[m.era] = m
	}
	return w
}

var errWrong = errors.New("view differs from the oracle")

func wrongf(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errWrong}, args...)...)
}

// page says what page p of v must hold, and checks what was read.
func (w *witness) page(v *View, p Page, frame []byte) error {
	got := make([]byte, v.PageSize)
	if err := DecodeFrame(frame, p.Pgno, got); err != nil {
		return wrongf("page %d of %s: %w", p.Pgno, p.Frame.File, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	c := contentOf(got)
	era, known := w.era[v.History]
	if !known {
		era = c.era
		w.era[v.History] = era
	}
	m := w.eras[era]
	s := w.state(m, v.TXID)
	if s == nil {
		return wrongf("txid %s is not written yet", v.TXID)
	}
	want, ok := s.pages[p.Pgno]
	switch {
	case !ok:
		return wrongf("page %d at %s is above %d", p.Pgno, v.TXID, s.commit)
	case c != want:
		return wrongf("page %d at %s of history %d: got %+v, want %+v", p.Pgno, v.TXID, v.History, c, want)
	case !bytes.Equal(got, want.page(v.PageSize)):
		return wrongf("page %d at %s: bytes differ", p.Pgno, v.TXID)
	case p.Version > v.TXID:
		return wrongf("page %d at %s has version %s", p.Pgno, v.TXID, p.Version)
	}
	key := pageKey{v.History, p.Pgno, p.Version}
	if before, ok := w.seen[key]; ok && before != c {
		return wrongf("cache key %+v is %+v and was %+v", key, c, before)
	}
	w.seen[key] = c
	return nil
}

// state is the model's at txid, nil when it is not there.
func (w *witness) state(m *model, txid TXID) *state {
	if w.lock != nil {
		w.lock.Lock()
		defer w.lock.Unlock()
	}
	if txid >= TXID(len(m.states)) {
		return nil
	}
	return m.states[txid]
}

// view reads the whole of v and compares. rehome, when not nil, is asked when a file is gone.
func (w *witness) view(ctx context.Context, v *View, rehome func(gone *File) error) error {
	w.mu.Lock()
	era, known := w.era[v.History]
	w.mu.Unlock()
	for pgno := uint32(1); pgno <= v.Commit; pgno++ {
		p, ok := v.Lookup(pgno)
		if pgno == v.LockPgno() {
			if ok {
				return wrongf("the lock page was found")
			}
			continue
		}
		if version, vok := v.Version(pgno); ok != vok || version != p.Version {
			return wrongf("page %d: Version says %s, Lookup %s", pgno, version, p.Version)
		}
		if !ok {
			return wrongf("page %d of %d at %s has no frame", pgno, v.Commit, v.TXID)
		}
		frame := make([]byte, p.Frame.Size)
		err := w.store.ReadAt(ctx, p.Frame.File.Ref(), frame, p.Frame.Off)
		for tries := 0; rehome != nil && (errors.Is(err, objstore.ErrNotFound) || errors.Is(err, objstore.ErrChanged)); tries++ {
			if tries == 5 {
				return wrongf("page %d at %s: %v again after rehome", pgno, v.TXID, err)
			}
			if err := rehome(p.Frame.File); err != nil {
				return err
			}
			if p, ok = v.Lookup(pgno); !ok {
				return wrongf("page %d at %s is not found after rehome", pgno, v.TXID)
			}
			frame = make([]byte, p.Frame.Size)
			err = w.store.ReadAt(ctx, p.Frame.File.Ref(), frame, p.Frame.Off)
		}
		if err != nil {
			return fmt.Errorf("page %d at %s: %w", pgno, v.TXID, err)
		}
		if err := w.page(v, p, frame); err != nil {
			return err
		}
	}
	if _, ok := v.Lookup(v.Commit + 1); ok {
		return wrongf("page %d is above the commit size and was found", v.Commit+1)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !known {
		era = w.era[v.History]
	}
	m := w.eras[era]
	s := w.state(m, v.TXID)
	if s == nil {
		return wrongf("txid %s is not written yet", v.TXID)
	}
	if v.Commit != s.commit || v.PageSize != m.pageSize {
		return wrongf("at %s: %d pages of %d bytes, want %d of %d", v.TXID, v.Commit, v.PageSize, s.commit, m.pageSize)
	}
	files := v.Files()
	if top := files[len(files)-1]; top.Level != SnapshotLevel && !v.Time.Equal(s.at) && top.Max == v.TXID {
		// A View that was moved keeps its time, which may be that of a snapshot.
		if v.Time.Before(s.at) {
			return wrongf("at %s: time %s, want %s", v.TXID, v.Time, s.at)
		}
	}
	return nil
}

// onLoad checks the pages that come with indexes.
func (w *witness) onLoad(fail func(error)) func(*View, []Blob) {
	return func(v *View, blobs []Blob) {
		for _, b := range blobs {
			for p, frame := range v.Held(b) {
				if err := w.page(v, p, frame); err != nil {
					fail(fmt.Errorf("held: %w", err))
				}
			}
		}
	}
}
