package index

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/superfly/ltx"
)

var update = flag.Bool("update", false, "write the golden files anew")

// oddity is one golden file: what is odd about it, and how to make it.
type oddity struct {
	name     string
	pageSize uint32
	level    int
	min, max TXID
	commit   uint32
	pgnos    []uint32
	old      bool
	ours     bool
	fast     bool
}

func seq(first, last uint32) (pgnos []uint32) {
	for pgno := first; pgno <= last; pgno++ {
		pgnos = append(pgnos, pgno)
	}
	return pgnos
}

var oddities = []oddity{
	{name: "first_transaction", pageSize: 4096, min: 1, max: 1, commit: 3, pgnos: seq(1, 3)},
	{name: "snapshot", pageSize: 512, level: 9, min: 1, max: 0x2a, commit: 70, pgnos: seq(1, 70)},
	{name: "page_size_512", pageSize: 512, min: 7, max: 7, commit: 90, pgnos: []uint32{1, 2, 40, 90}},
	{name: "page_size_65536", pageSize: 65536, min: 7, max: 7, commit: 4, pgnos: []uint32{1, 4}},
	{name: "old_encoding", pageSize: 1024, min: 5, max: 5, commit: 9, pgnos: []uint32{1, 3, 9}, old: true},
	{name: "old_encoding_snapshot", pageSize: 512, level: 9, min: 1, max: 9, commit: 5, pgnos: seq(1, 5), old: true},
	{name: "old_encoding_page_size_65536", pageSize: 65536, min: 5, max: 5, commit: 2, pgnos: []uint32{2}, old: true},
	{name: "merged_overlapping", pageSize: 512, level: 3, min: 0x57, max: 0x8a, commit: 200, pgnos: []uint32{1, 5, 6, 7, 190, 200}},
	{name: "shrink", pageSize: 512, min: 8, max: 8, commit: 2, pgnos: []uint32{1}},
	{name: "no_pages", pageSize: 512, min: 8, max: 8, commit: 2},
	{name: "all_pages_again", pageSize: 512, min: 9, max: 9, commit: 6, pgnos: seq(1, 6)},
	{name: "first_pages_only", pageSize: 512, min: 9, max: 9, commit: 600, pgnos: seq(1, 66)},
	{name: "no_log", pageSize: 512, min: 10, max: 10, commit: 6, pgnos: []uint32{1, 6}, ours: true},
	{name: "before_and_after_the_lock_page", pageSize: 65536, min: 11, max: 11, commit: 16390, pgnos: []uint32{16384, 16386}},
	{name: "last_page_number", pageSize: 512, min: 12, max: 12, commit: 1<<32 - 1, pgnos: []uint32{1, 1<<32 - 1}},
	{name: "highest_txid", pageSize: 512, min: 1<<64 - 1, max: 1<<64 - 1, commit: 1, pgnos: []uint32{1}},
}

func (o *oddity) content(pgno uint32) content { return content{era: 7, pgno: pgno, txid: o.max} }

func (o *oddity) page(pgno uint32) []byte {
	if o.pageSize < 65536 {
		return o.content(pgno).page(o.pageSize)
	}
	p := make([]byte, o.pageSize) // mostly zeros: golden files are small
	copy(p, o.content(pgno).page(2048))
	return p
}

func (o *oddity) file(data []byte) *File {
	return &File{Level: o.level, Min: o.min, Max: o.max, Size: int64(len(data))}
}

func (o *oddity) encode() ([]byte, error) {
	h := ltx.Header{
		Version: ltx.Version, Flags: ltx.HeaderFlagNoChecksum, PageSize: o.pageSize, Commit: o.commit,
		MinTXID: o.min, MaxTXID: o.max, Timestamp: 1795188671540,
	}
	switch {
	case o.ours:
		h.WALOffset = 32
	case o.level == 0:
		h.WALOffset, h.WALSize, h.WALSalt1, h.WALSalt2 = 32, int64(len(o.pgnos))*int64(o.pageSize+24), 0x5a17, 0xba55
		if h.WALSize == 0 {
			h.WALOffset, h.WALSalt1, h.WALSalt2 = 32, 0, 0
		}
	}
	pages := make([][]byte, len(o.pgnos))
	for i, pgno := range o.pgnos {
		pages[i] = o.page(pgno)
	}
	switch {
	case o.old:
		return encodeOld(h, o.pgnos, pages)
	case o.fast:
		return encodeFast(h, o.pgnos, pages)
	}
	return encodeNew(h, o.pgnos, pages)
}

// golden reads the golden file, writing it first when asked.
func (o *oddity) golden(t testing.TB) []byte {
	t.Helper()
	name := filepath.Join("testdata", "golden", o.name+".ltx")
	if *update {
		data, err := o.encode()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatalf("%v; go test ./index -run TestGolden -update writes it", err)
	}
	return data
}

// verify decodes all of the file and compares.
func (o *oddity) verify(data []byte) error {
	l, err := parseWhole(o.file(data), data)
	if err != nil {
		return err
	}
	dst := make([]byte, l.seg.pageSize)
	for i := range l.seg.n {
		pgno, frame := l.seg.pgno(i), l.seg.frame(i)
		if j, ok := l.seg.find(pgno); !ok || j != i {
			return wrongf("page %d is frame %d and found at %d, %v", pgno, i, j, ok)
		}
		err := DecodeFrame(data[frame.Off:frame.Off+frame.Size], pgno, dst)
		switch {
		case err != nil && !errors.Is(err, ErrCorrupt):
			return wrongf("page %d: an error of another kind: %w", pgno, err)
		case err != nil:
		case !bytes.Equal(dst, o.page(pgno)):
			return wrongf("page %d differs", pgno)
		}
	}
	return nil
}

// damagedFrame decodes the frame with damage at one of its bytes. Nothing but the page's own frame is hashed with it, and
// that only by who reads the whole file: of the content only the length is sure.
func damagedFrame(data []byte, f Frame, pgno uint32, dst []byte) error {
	err := DecodeFrame(data[f.Off:f.Off+f.Size], pgno, dst)
	if err != nil && !errors.Is(err, ErrCorrupt) {
		return wrongf("page %d: an error of another kind: %w", pgno, err)
	}
	return err
}

// The golden files hold what they should, by our decoder and by the library's.
func TestGolden(t *testing.T) {
	t.Parallel()
	for _, o := range oddities {
		t.Run(o.name, func(t *testing.T) {
			data := o.golden(t)
			l, err := parseWhole(o.file(data), data)
			if err != nil {
				t.Fatal(err)
			}
			s := l.seg
			if s.n != len(o.pgnos) || s.pageSize != o.pageSize || s.commit != o.commit {
				t.Fatalf("%d pages of %d, size %d", s.n, s.pageSize, s.commit)
			}
			if want := uint32(len(o.pgnos)) == o.commit; s.dense() != want {
				t.Errorf("dense: %v", s.dense())
			}
			for i, pgno := range o.pgnos {
				got, frame := make([]byte, o.pageSize), s.frame(i)
				if s.pgno(i) != pgno {
					t.Errorf("frame %d holds page %d, want %d", i, s.pgno(i), pgno)
				}
				if err := DecodeFrame(data[frame.Off:frame.Off+frame.Size], pgno, got); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, o.page(pgno)) {
					t.Errorf("page %d differs", pgno)
				}
			}
			if encoded, err := o.encode(); err != nil || !bytes.Equal(encoded, data) {
				t.Errorf("is not what the encoder makes now, %v", err)
			}
			if o.fast = !o.old; o.fast {
				if encoded, err := o.encode(); err != nil || !bytes.Equal(encoded, data) {
					t.Errorf("the test's own encoder differs from the library's, %v", err)
				}
			}
			dec := ltx.NewDecoder(bytes.NewReader(data))
			if err := dec.Verify(); err != nil {
				t.Errorf("the library says: %v", err)
			}
		})
	}
	names, err := filepath.Glob("testdata/golden/*.ltx")
	if err != nil || len(names) != len(oddities) {
		t.Errorf("%d golden files, %d known, %v", len(names), len(oddities), err)
	}
	readme, err := os.ReadFile("testdata/golden/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range oddities {
		if !strings.Contains(string(readme), "`"+o.name+"`") {
			t.Errorf("README.md does not tell of %s", o.name)
		}
	}
}

// Every byte of a golden file damaged, and the file cut at every length: an error or the right page.
func TestR12_EveryDamagedByte(t *testing.T) {
	t.Parallel()
	for _, o := range oddities {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			golden := o.golden(t)
			l, err := parseWhole(o.file(golden), golden)
			if err != nil {
				t.Fatal(err)
			}
			rng := rand.New(rand.NewPCG(1, uint64(o.max)))
			page := make([]byte, o.pageSize)
			refused := 0
			for off := range golden {
				check := o.verify
				if i := l.seg.frameFrom(int64(off)+1) - 1; i >= 0 && int64(off) < l.seg.frame(i).Off+l.seg.frame(i).Size {
					check = func(data []byte) error { return damagedFrame(data, l.seg.frame(i), l.seg.pgno(i), page) }
				}
				for _, flip := range []byte{0xff, 0x01, 0x80, byte(1 + rng.IntN(255))} {
					golden[off] ^= flip
					err := check(golden)
					golden[off] ^= flip
					if errors.Is(err, errWrong) || err != nil && !errors.Is(err, ErrCorrupt) {
						t.Fatalf("byte %d ^ %#x: %v", off, flip, err)
					}
					if err != nil {
						refused++
					}
				}
				if err := o.verify(golden[:off:off]); !errors.Is(err, ErrCorrupt) || errors.Is(err, errWrong) {
					t.Fatalf("cut to %d bytes: %v", off, err)
				}
			}
			for _, n := range []int{1, 24, 1000} {
				if err := o.verify(append(bytes.Clone(golden), make([]byte, n)...)); !errors.Is(err, ErrCorrupt) {
					t.Errorf("%d bytes more: %v", n, err)
				}
			}
			t.Logf("%d bytes: %d of %d damages were refused outright", len(golden), refused, 4*len(golden))
		})
	}
}

// Absurd numbers in small files take no memory to speak of.
func TestR12_AbsurdNumbersTakeNoMemory(t *testing.T) {
	o := oddities[2]
	golden := o.golden(t)
	tail := len(golden) - tailSize
	records := tail - int(binary.BigEndian.Uint64(golden[tail:]))
	try := func(name string, damage func(b []byte)) {
		t.Helper()
		data := bytes.Clone(golden)
		damage(data)
		allocated := allocates(func() {
			if err := o.verify(data); errors.Is(err, errWrong) {
				t.Errorf("%s: %v", name, err)
			}
		})
		if allocated > 1<<20 {
			t.Errorf("%s: took %d bytes", name, allocated)
		}
	}
	try("nothing", func([]byte) {})
	try("commit size", func(b []byte) { binary.BigEndian.PutUint32(b[12:], 1<<32-1) })
	for shift := range 64 {
		try("length of the index", func(b []byte) { binary.BigEndian.PutUint64(b[tail:], 1<<shift) })
	}
	for at := records; at < tail-10; at++ {
		try("long number", func(b []byte) { copy(b[at:], "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01") })
	}

	// A bomb: an LZ4 frame that goes on for ever, and a block that is nothing but lengths.
	page := make([]byte, 512)
	bomb, err := lz4Frame(make([]byte, 32<<20))
	if err != nil {
		t.Fatal(err)
	}
	frame := append([]byte{0, 0, 0, 1, 0, 0}, bomb...)
	if err := DecodeFrame(frame, 1, page); !errors.Is(err, ErrCorrupt) {
		t.Errorf("bomb: %v", err)
	}
	if n := allocates(func() { DecodeFrame(frame, 1, page) }); n > 1<<20 {
		t.Errorf("bomb: took %d bytes", n)
	}
	block := append([]byte{0, 0, 0, 1, 0, 1, 0, 0, 4, 0}, bytes.Repeat([]byte{0xff}, 1024)...)
	if err := DecodeFrame(block, 1, page); !errors.Is(err, ErrCorrupt) {
		t.Errorf("lengths: %v", err)
	}

	// A file of terabytes that says that it is all index.
	for _, size := range []int64{1 << 32, 1 << 40, 1 << 62} {
		f := &File{Level: 9, Min: 1, Max: 9, Size: size}
		h := header{pageSize: 512, commit: 1<<32 - 1}
		n := allocates(func() { newIndexDecoder(f, h, size/2, size/2) })
		if n > 80<<20 {
			t.Errorf("an index of %d bytes sets %d aside", size/2, n)
		}
	}
}

func allocates(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// A header that contradicts the file's name, and other nonsense.
func TestDecodeHeader_Refuses(t *testing.T) {
	t.Parallel()
	o := oddities[0]
	golden := o.golden(t)
	for name, damage := range map[string]func(b []byte){
		"magic":       func(b []byte) { b[0] = 'l' },
		"flags":       func(b []byte) { b[4] = 1 },
		"page size":   func(b []byte) { binary.BigEndian.PutUint32(b[8:], 4097) },
		"page size 0": func(b []byte) { binary.BigEndian.PutUint32(b[8:], 0) },
		"no pages":    func(b []byte) { binary.BigEndian.PutUint32(b[12:], 0) },
		"min txid":    func(b []byte) { b[23] = 2 },
		"max txid":    func(b []byte) { b[31] = 2 },
	} {
		data := bytes.Clone(golden)
		damage(data)
		if _, err := parseWhole(o.file(data), data); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "L0/0000000000000001-") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// Indexes that no encoder writes.
func TestDecodeIndex_Refuses(t *testing.T) {
	t.Parallel()
	page := make([]byte, 65536)
	h := ltx.Header{Version: ltx.Version, Flags: ltx.HeaderFlagNoChecksum, PageSize: 65536, Commit: 16390, MinTXID: 2, MaxTXID: 2}
	f := File{Min: 2, Max: 2}
	for want, pgnos := range map[string][]uint32{
		"":                                    {3, 16384, 16386, 16390},
		"page 16385 is the lock page":         {3, 16385},
		"page 16391 is above the commit size": {3, 16391},
		"page 3 after page 3":                 {3, 3},
		"page 2 after page 3":                 {3, 2},
		"bytes after the end of the index":    {3, 0},
	} {
		data, err := encodeFast(h, pgnos, [][]byte{page, page, page, page})
		if err != nil {
			t.Fatal(err)
		}
		f.Size = int64(len(data))
		_, err = parseWhole(&f, data)
		if got := fmt.Sprint(err); want == "" && err != nil || want != "" && (!errors.Is(err, ErrCorrupt) || !strings.Contains(got, want)) {
			t.Errorf("pages %d: got %v, want %s", pgnos, err, want)
		}
	}
}

func TestDecodeFrame_Refuses(t *testing.T) {
	t.Parallel()
	o := oddities[0]
	data := o.golden(t)
	l, err := parseWhole(o.file(data), data)
	if err != nil {
		t.Fatal(err)
	}
	f := l.seg.frame(1)
	frame := data[f.Off : f.Off+f.Size]
	page := make([]byte, 4096)
	if err := DecodeFrame(frame, 2, page); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"another page":   DecodeFrame(frame, 3, page),
		"smaller page":   DecodeFrame(frame, 2, page[:2048]),
		"larger page":    DecodeFrame(frame, 2, make([]byte, 8192)),
		"cut":            DecodeFrame(frame[:len(frame)-1], 2, page),
		"longer":         DecodeFrame(append(bytes.Clone(frame), 0), 2, page),
		"header only":    DecodeFrame(frame[:6], 2, page),
		"nothing":        DecodeFrame(nil, 2, page),
		"unknown flag":   DecodeFrame(append([]byte{0, 0, 0, 2, 0, 2}, frame[6:]...), 2, page),
		"other encoding": DecodeFrame(append([]byte{0, 0, 0, 2, 0, 0}, frame[6:]...), 2, page),
	} {
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// The index decodes to the same whatever pieces it arrives in.
func TestIndexDecoder_Pieces(t *testing.T) {
	t.Parallel()
	for _, o := range oddities {
		data := o.golden(t)
		whole, err := parseWhole(o.file(data), data)
		if err != nil {
			t.Fatal(err)
		}
		start, size, err := indexBounds(o.file(data), data)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int64{1, 2, 3, 7, 29, 30, 31, size} {
			d := newIndexDecoder(o.file(data), whole.seg.header, start, size)
			for off := int64(0); off < size; off += n {
				end := min(off+n, size)
				piece := bytes.Clone(data[start+off : start+end])
				if err := d.feed(piece, end == size); err != nil {
					t.Fatalf("%s in pieces of %d: %v", o.name, n, err)
				}
				clear(piece) // feed must not keep it
			}
			seg, err := d.finish()
			if err != nil {
				t.Fatalf("%s in pieces of %d: %v", o.name, n, err)
			}
			if got, want := fmt.Sprint(seg.pages(), seg.narrow, seg.wide, seg.anchors), fmt.Sprint(
				whole.seg.pages(), whole.seg.narrow, whole.seg.wide, whole.seg.anchors); got != want {
				t.Errorf("%s in pieces of %d: got %s, want %s", o.name, n, got, want)
			}
		}
	}
}

// FuzzDecodeIndex decodes anything as a whole LTX file. Never a panic, never memory out of proportion; what passes agrees
// with the library.
func FuzzDecodeIndex(f *testing.F) {
	for _, o := range oddities {
		f.Add(o.golden(f))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file := &File{Size: int64(len(data)), Min: 1, Max: 1}
		if len(data) >= ltx.HeaderSize { // a name that fits, so that more than the header is tried
			file.Min, file.Max = TXID(binary.BigEndian.Uint64(data[16:])), TXID(binary.BigEndian.Uint64(data[24:]))
		}
		l, err := parseWhole(file, data)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		s := l.seg
		if s.bytes() > 64*int64(len(data))+4096 {
			t.Fatalf("%d bytes of table from %d", s.bytes(), len(data))
		}
		start, size, err := indexBounds(file, data)
		if err != nil {
			t.Fatal(err)
		}
		want, err := ltx.DecodePageIndex(bytes.NewReader(data[start:start+size+8]), 0, file.Min, file.Max)
		if err != nil {
			return // the library is stricter about how numbers are written, perhaps
		}
		if len(want) != s.n {
			t.Fatalf("%d pages, the library says %d", s.n, len(want))
		}
		page, next := make([]byte, s.pageSize), int64(ltx.HeaderSize)
		for i := range s.n {
			pgno, f := s.pgno(i), s.frame(i)
			e := want[pgno]
			if e.Offset != f.Off || e.Size != f.Size || f.Off != next || f.Off+f.Size > start-endMarkerSize {
				t.Fatalf("page %d: %+v, the library says %+v", pgno, f, e)
			}
			next = f.Off + f.Size
			if j, ok := s.find(pgno); !ok || j != i {
				t.Fatalf("page %d is frame %d, found at %d, %v", pgno, i, j, ok)
			}
			if err := DecodeFrame(data[f.Off:next], pgno, page); err != nil && !errors.Is(err, ErrCorrupt) {
				t.Fatal(err)
			}
		}
	})
}

// FuzzDecodeFrame decodes anything as a frame. Never a panic, never a byte outside the page; what passes agrees with the
// library.
func FuzzDecodeFrame(f *testing.F) {
	for _, o := range oddities {
		data := o.golden(f)
		l, err := parseWhole(o.file(data), data)
		if err != nil {
			f.Fatal(err)
		}
		for i := range min(l.seg.n, 3) {
			frame := l.seg.frame(i)
			f.Add(data[frame.Off:frame.Off+frame.Size], l.seg.pgno(i), o.pageSize)
		}
	}
	f.Fuzz(func(t *testing.T, frame []byte, pgno, pageSize uint32) {
		if !ltx.IsValidPageSize(pageSize) {
			pageSize = 512
		}
		const guard = 0xa5
		buf := bytes.Repeat([]byte{guard}, int(pageSize)+64)
		err := DecodeFrame(frame, pgno, buf[:pageSize])
		for i, b := range buf[pageSize:] {
			if b != guard {
				t.Fatalf("byte %d after the page was written", i)
			}
		}
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		hdr, want, err := ltx.DecodePageData(frame)
		if err != nil || hdr.Pgno != pgno || !bytes.Equal(want, buf[:pageSize]) {
			t.Fatalf("the library says page %d, %d bytes, %v", hdr.Pgno, len(want), err)
		}
	})
}
