package merge

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pierrec/lz4/v4"
	"github.com/superfly/ltx"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/integration/primary"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/faultstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

func newBufio(w io.Writer) *bufio.Writer { return bufio.NewWriter(w) }

func oldFrame(t testing.TB, pgno uint32, page []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	zw := lz4.NewWriter(&b)
	must(t, zw.Apply(lz4.BlockSizeOption(lz4.Block64Kb), lz4.ChecksumOption(true)))
	_, err := zw.Write(page)
	must(t, err)
	must(t, zw.Close())
	h, err := (&ltx.PageHeader{Pgno: pgno}).MarshalBinary()
	must(t, err)
	return append(h, b.Bytes()...)
}

// What a merge makes is, byte for byte, what the format's own library makes of the same inputs, and the database as the
// primary had it.
func TestBuild_LikeTheLibrary(t *testing.T) {
	t.Parallel()
	for _, pageSize := range []int{512, 4096, 65536} {
		seed := uint64(pageSize)
		t.Run(fmt.Sprint(pageSize), func(t *testing.T) {
			t.Parallel()
			rnd := rand.New(rand.NewPCG(seed, 1))
			p, store, files := history(t, rnd, 40, primary.Options{PageSize: pageSize})
			for range 30 {
				lo := rnd.IntN(len(files))
				hi := lo + 1 + rnd.IntN(len(files)-lo)
				to := Target{Level: 1, Min: files[lo].Min, Max: files[hi-1].Max}
				f, err := build(t, store, files[lo:hi], to, Options{})
				must(t, err)
				got := fileBytes(t, f)
				if want := libraryMerge(t, store, files[lo:hi]); !bytes.Equal(got, want) {
					t.Fatalf("%s-%s: %d bytes differ from the library's %d", to.Min, to.Max, len(got), len(want))
				}
				h, pages := contents(t, got)
				if to.Min == 1 && !bytes.Equal(imageOf(h, pages), p.Image(to.Max)) {
					t.Fatalf("%s-%s is not the database of the primary", to.Min, to.Max)
				}
			}
		})
	}
}

func libraryMerge(t testing.TB, store *memstore.Store, files []index.File) []byte {
	t.Helper()
	var inputs []io.Reader
	for i := range files {
		part, err := store.ReadPrefix(t.Context(), files[i].Ref(), files[i].Size)
		must(t, err)
		inputs = append(inputs, bytes.NewReader(part.Data))
	}
	var out bytes.Buffer
	c, err := ltx.NewCompactor(&out, inputs)
	must(t, err)
	c.HeaderFlags = ltx.HeaderFlagNoChecksum
	must(t, c.Compact(context.Background()))
	return out.Bytes()
}

// Inputs that overlap, in whatever order they are named: the newer version wins.
func TestBuild_Overlap(t *testing.T) {
	t.Parallel()
	store := new(memstore.Store)
	files := []index.File{
		spec{level: 1, min: 5, max: 12, commit: 4, pages: []uint32{2, 3}, seed: 12}.put(t, store),
		spec{level: 0, min: 11, max: 11, commit: 4, pages: []uint32{2, 4}, seed: 11}.put(t, store),
		spec{level: 1, min: 1, max: 8, commit: 4, pages: upTo(4), seed: 8}.put(t, store),
	}
	f, err := build(t, store, files, Target{Level: 2, Min: 1, Max: 12}, Options{})
	must(t, err)
	_, pages := contents(t, fileBytes(t, f))
	for pgno, seed := range map[uint32]byte{1: 8, 2: 12, 3: 12, 4: 11} {
		if want := (spec{seed: seed}).page(pgno); !bytes.Equal(pages[pgno], want) {
			t.Errorf("page %d is %.20q, want that of seed %d", pgno, pages[pgno], seed)
		}
	}
}

// A file in the middle of another one did not grow the database by what the other one did.
func TestBuild_GrowthWithin(t *testing.T) {
	t.Parallel()
	store := new(memstore.Store)
	files := []index.File{
		spec{level: 1, min: 1, max: 8, commit: 4, pages: upTo(4), seed: 8}.put(t, store),
		spec{level: 0, min: 11, max: 11, commit: 6, pages: []uint32{2}, seed: 11}.put(t, store),
		spec{level: 1, min: 5, max: 12, commit: 6, pages: []uint32{2, 5, 6}, seed: 12}.put(t, store),
	}
	f, err := build(t, store, files, Target{Level: 2, Min: 1, Max: 12}, Options{})
	must(t, err)
	if _, pages := contents(t, fileBytes(t, f)); len(pages) != 6 {
		t.Errorf("%d pages", len(pages))
	}
}

// The older encoding of frames is read, and not written any more.
func TestBuild_OldFrames(t *testing.T) {
	t.Parallel()
	store := new(memstore.Store)
	files := []index.File{
		spec{level: 0, min: 1, max: 1, commit: 5, pages: upTo(5), seed: 1, old: true}.put(t, store),
		spec{level: 0, min: 2, max: 2, commit: 5, pages: []uint32{3}, seed: 2}.put(t, store),
	}
	if _, err := Check(t.Context(), store, files[0]); err != nil {
		t.Errorf("check of an old file: %v", err)
	}
	f, err := build(t, store, files, Target{Level: 1, Min: 1, Max: 2}, Options{})
	must(t, err)
	data := fileBytes(t, f)
	_, pages := contents(t, data)
	for pgno := uint32(1); pgno <= 5; pgno++ {
		want := spec{seed: 1}.page(pgno)
		if pgno == 3 {
			want = spec{seed: 2}.page(pgno)
		}
		if !bytes.Equal(pages[pgno], want) {
			t.Errorf("page %d is wrong", pgno)
		}
	}
	index, err := ltx.DecodePageIndex(bytes.NewReader(data[len(data)-24-indexLen(data):]), 0, 1, 2)
	must(t, err)
	for pgno, e := range index {
		if data[e.Offset+5] != 1 {
			t.Errorf("page %d still has the older encoding", pgno)
		}
	}
}

func indexLen(data []byte) int {
	tail := data[len(data)-24:]
	return int(tail[4])<<24 | int(tail[5])<<16 | int(tail[6])<<8 | int(tail[7])
}

// The lock page is in no file, and that is right, also where the database grows over it.
func TestBuild_LockPage(t *testing.T) {
	t.Parallel()
	const pageSize = 65536
	lock := ltx.LockPgno(pageSize)
	store := new(memstore.Store)
	var grown []uint32
	for pgno := lock - 2; pgno <= lock+2; pgno++ {
		if pgno != lock {
			grown = append(grown, pgno)
		}
	}
	files := []index.File{
		spec{min: 7, max: 7, commit: lock - 3, pages: []uint32{5}, pageSize: pageSize, seed: 7}.put(t, store),
		spec{min: 8, max: 8, commit: lock + 2, pages: grown, pageSize: pageSize, seed: 8}.put(t, store),
	}
	f, err := build(t, store, files, Target{Level: 1, Min: 7, Max: 8}, Options{Base: lock - 3})
	must(t, err)
	if _, pages := contents(t, fileBytes(t, f)); len(pages) != 5 {
		t.Errorf("%d pages, want 5", len(pages))
	}
}

// C1: what is wrong with a file is said with file and page, before anything is written, and the inputs stay.
func TestC1_BadInputsAreRefused(t *testing.T) {
	t.Parallel()
	whole := spec{min: 1, max: 4, commit: 6, pages: upTo(6), seed: 1}
	for _, tc := range []struct {
		name string
		bad  spec
		base uint32
		want string // in the message
	}{
		{"a page is missing", spec{min: 1, max: 4, commit: 6, pages: []uint32{1, 2, 4, 5, 6}}, 0, "page 3 is missing"},
		{"the first page is missing", spec{min: 1, max: 4, commit: 6, pages: []uint32{2, 3, 4, 5, 6}}, 0, "page 1 is missing"},
		{"the last pages are missing", spec{min: 1, max: 4, commit: 6, pages: upTo(4)}, 0, "page 5 is missing"},
		{"no page at all", spec{min: 1, max: 4, commit: 6}, 0, "page 1 is missing"},
		{"wrong order", spec{min: 1, max: 4, commit: 3, pages: []uint32{1, 2, 3, 2}}, 0, "page 2 after page 3"},
		{"twice", spec{min: 1, max: 4, commit: 3, pages: []uint32{1, 2, 2, 3}}, 0, "page 2 after page 2"},
		{"above the commit size", spec{min: 1, max: 4, commit: 3, pages: upTo(4)}, 0, "page 4 is above the commit size 3"},
		{"a hole in growth", spec{min: 5, max: 5, commit: 9, pages: []uint32{7, 9}}, 0, "page 8 is missing, and the database grew from 6 to 9"},
		{"growth without the last page", spec{min: 5, max: 5, commit: 9, pages: []uint32{7, 8}}, 0, "page 9 is missing"},
		{"growth of the first input", spec{min: 5, max: 5, commit: 9, pages: []uint32{8, 9}}, 6, "page 7 is missing"},
		{"another page size", spec{min: 5, max: 5, commit: 6, pages: []uint32{2}, pageSize: 1024}, 0, "one page size"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			store := new(memstore.Store)
			tc.bad.level = 1
			bad := tc.bad.put(t, store)
			files := []index.File{bad}
			if tc.bad.min > 1 && tc.base == 0 {
				files = append(files, whole.put(t, store))
			}
			lo := index.TXID(1)
			if tc.base > 0 {
				lo = tc.bad.min
			}
			before := store.Keys()
			_, err := build(t, store, files, Target{Level: 2, Min: lo, Max: tc.bad.max}, Options{Base: tc.base})
			if !errors.Is(err, index.ErrCorrupt) || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), bad.String()) {
				t.Errorf("got %v, want a corrupt %s with %q", err, &bad, tc.want)
			}
			if after := store.Keys(); len(after) != len(before) {
				t.Errorf("the store holds %v, before %v", after, before)
			}
			if tc.bad.min == 1 {
				if _, err := Check(t.Context(), store, bad); !errors.Is(err, index.ErrCorrupt) {
					t.Errorf("check says %v", err)
				}
			}
		})
	}
}

// C1: whatever byte of an input is damaged, the merge refuses it, and so does Check; unless the page comes out the same, which
// happens where it repeats itself.
func TestC1_EveryDamagedByte(t *testing.T) {
	t.Parallel()
	store := new(memstore.Store)
	good := spec{min: 1, max: 3, commit: 4, pages: upTo(4), seed: 3}
	newer := spec{min: 4, max: 4, commit: 4, pages: []uint32{2}, seed: 4}.put(t, store)
	data := good.encode(t)
	_, want := contents(t, data)
	harmless := 0
	for i := range data {
		for _, flip := range []byte{1, 0x80} {
			bad := bytes.Clone(data)
			bad[i] ^= flip
			f := putBytes(t, store, good.file(), bad)
			_, err := Check(t.Context(), store, f)
			if err == nil {
				if _, pages := contents(t, bad); !maps.EqualFunc(pages, want, bytes.Equal) {
					t.Fatalf("byte %d: check takes the file", i)
				}
				harmless++
				continue
			}
			if !errors.Is(err, index.ErrCorrupt) {
				t.Fatalf("byte %d: check says %v", i, err)
			}
			built, err := Build(t.Context(), store, []index.File{f, newer}, Target{Level: 1, Min: 1, Max: 4}, Options{TempDir: t.TempDir()})
			if err == nil {
				built.Close()
			}
			if !errors.Is(err, index.ErrCorrupt) {
				t.Fatalf("byte %d: build says %v", i, err)
			}
		}
	}
	if harmless > len(data)/4 {
		t.Errorf("%d of %d flips were harmless", harmless, 2*len(data))
	}
	for n := range data {
		f := putBytes(t, store, good.file(), data[:n])
		if n == 0 {
			continue // a store may not even list it
		}
		if _, err := Check(t.Context(), store, f); err == nil {
			t.Fatalf("check takes the first %d bytes for a file", n)
		}
	}
	f := putBytes(t, store, good.file(), append(bytes.Clone(data), 0))
	if _, err := Check(t.Context(), store, f); !errors.Is(err, index.ErrCorrupt) {
		t.Errorf("check of a file with a byte more: %v", err)
	}
}

// A gap between inputs, and inputs that do not make up the target.
func TestBuild_Gap(t *testing.T) {
	t.Parallel()
	store := new(memstore.Store)
	a := spec{min: 1, max: 3, commit: 2, pages: upTo(2)}.put(t, store)
	b := spec{min: 5, max: 6, commit: 2, pages: upTo(2)}.put(t, store)
	if _, err := build(t, store, []index.File{b, a}, Target{Level: 1, Min: 1, Max: 6}, Options{}); !errors.Is(err, index.ErrGap) ||
		!strings.Contains(err.Error(), "0000000000000004") {
		t.Errorf("got %v", err)
	}
	if _, err := build(t, store, []index.File{a}, Target{Level: 1, Min: 2, Max: 3}, Options{}); err == nil {
		t.Error("inputs that begin elsewhere were taken")
	}
	if _, err := build(t, store, nil, Target{Level: 1, Min: 2, Max: 3}, Options{}); err == nil {
		t.Error("no inputs were taken")
	}
}

// Every call to the store fails once: the merge ends with that error or, where Publish may ask again, is right.
func TestPublish_EveryFault(t *testing.T) {
	t.Parallel()
	_, store, files := history(t, rand.New(rand.NewPCG(2, 2)), 12, primary.Options{})
	to := Target{Level: 1, Min: 1, Max: 12}
	want := libraryMerge(t, store, files)
	for _, mode := range []faultstore.Mode{faultstore.Refuse, faultstore.LoseReply, faultstore.Cut} {
		for n := int64(0); ; n++ {
			fault := faultstore.FailNth(n).As(mode)
			faulty := fault.Wrap(store)
			f, err := build(t, faulty, files, to, Options{})
			if err == nil {
				_, err = Publish(t.Context(), faulty, f, Options{})
			}
			key := (&index.File{Level: 1, Min: 1, Max: 12}).Key()
			if err != nil && !errors.Is(err, faultstore.ErrInjected) {
				t.Fatalf("mode %d, call %d: %v", mode, n, err)
			}
			part, errRead := store.ReadPrefix(t.Context(), objstore.Ref{Key: key}, 1<<20)
			if errRead == nil && !bytes.Equal(part.Data, want) || err == nil && errRead != nil {
				t.Fatalf("mode %d, call %d: ended with %v; read: %v, %d bytes", mode, n, err, errRead, len(part.Data))
			}
			must(t, store.Delete(t.Context(), key))
			if !fault.Fired() {
				break
			}
		}
	}
}

// A store that says yes and keeps nothing, or half: nobody may rely on the file.
func TestPublish_StoreThatLies(t *testing.T) {
	t.Parallel()
	for _, mode := range []faultstore.Mode{faultstore.Drop, faultstore.Truncate} {
		store := new(memstore.Store)
		in := spec{min: 1, max: 3, commit: 40, pages: upTo(40)}.put(t, store)
		faulty := faultstore.FailNth(0).As(mode).On("put").Wrap(store)
		f, err := build(t, faulty, []index.File{in}, Target{Level: 1, Min: 1, Max: 3}, Options{})
		must(t, err)
		if _, err := Publish(t.Context(), faulty, f, Options{}); err == nil {
			t.Errorf("mode %d: published", mode)
		}
	}
}

// The name is taken: by the same, by the same in other bytes, by something else.
func TestPublish_NameTaken(t *testing.T) {
	t.Parallel()
	good := spec{level: 1, min: 1, max: 3, commit: 9, pages: upTo(9), seed: 1}
	for _, tc := range []struct {
		name string
		with spec
		want error
	}{
		{"the same", good, nil},
		{"encoded otherwise", spec{level: 1, min: 1, max: 3, commit: 9, pages: upTo(9), seed: 1, old: true}, nil},
		{"other pages", spec{level: 1, min: 1, max: 3, commit: 9, pages: upTo(9), seed: 2}, ErrConflict},
		{"another size", spec{level: 1, min: 1, max: 3, commit: 8, pages: upTo(8), seed: 1}, ErrConflict},
		{"a hole", spec{level: 1, min: 1, max: 3, commit: 9, pages: upTo(8), seed: 1}, index.ErrCorrupt},
	} {
		store := new(memstore.Store)
		in := good
		in.level = 0
		f, err := build(t, store, []index.File{in.put(t, store)}, Target{Level: 1, Min: 1, Max: 3}, Options{})
		must(t, err)
		taken := tc.with.put(t, store)
		p, err := Publish(t.Context(), store, f, Options{})
		if !errors.Is(err, tc.want) || err == nil && (!p.Existed || p.File.ETag != taken.ETag) {
			t.Errorf("%s: got %+v, %v, want %v", tc.name, p, err, tc.want)
		}
		if part, err := store.ReadPrefix(t.Context(), taken.Ref(), 1); err != nil || part.ETag != taken.ETag {
			t.Errorf("%s: what was there is not there any more", tc.name)
		}
	}
}

// An image becomes a file that restores to it.
func TestFromImage(t *testing.T) {
	t.Parallel()
	for _, pageSize := range []int{512, 4096, 65536} {
		p, _, _ := history(t, rand.New(rand.NewPCG(3, 3)), 10, primary.Options{PageSize: pageSize})
		image := p.Image(10)
		at := time.UnixMilli(1_700_000_000_123)
		f, err := FromImage(t.Context(), bytes.NewReader(image), int64(len(image)),
			Target{Min: 1, Max: 1, Timestamp: at, Complete: true}, Options{TempDir: t.TempDir()})
		must(t, err)
		h, pages := contents(t, fileBytes(t, f))
		if !bytes.Equal(imageOf(h, pages), image) || h.Timestamp != at.UnixMilli() || h.WALOffset != 32 {
			t.Errorf("pages of %d: the file is not the image, or says %+v", pageSize, h)
		}
		must(t, f.Close())
	}
}

// The lock page of an image is left out, and pages around it are not shifted.
func TestFromImage_LockPage(t *testing.T) {
	t.Parallel()
	lock := ltx.LockPgno(65536)
	s := &slicer{pageSize: 65536, commit: lock + 3, last: lock - 5}
	var got []uint32
	for {
		b, err := s.next(t.Context())
		must(t, err)
		if b == nil {
			break
		}
		for i, p := range b.pages {
			if p.pgno != b.pages[0].pgno+uint32(i) {
				t.Errorf("page %d follows %d in one read", p.pgno, b.pages[i-1].pgno)
			}
			got = append(got, p.pgno)
		}
	}
	if want := []uint32{lock - 4, lock - 3, lock - 2, lock - 1, lock + 1, lock + 2, lock + 3}; !slices.Equal(got, want) {
		t.Errorf("pages %v, want %v", got, want)
	}
}

// What is no database is refused.
func TestFromImage_Bad(t *testing.T) {
	t.Parallel()
	p, _, _ := history(t, rand.New(rand.NewPCG(3, 3)), 3, primary.Options{})
	image := p.Image(3)
	text := bytes.Repeat([]byte("not a database. "), 1000)
	for name, b := range map[string][]byte{
		"empty": nil, "short": image[:50], "cut in a page": image[:len(image)-10], "a page cut off": image[:len(image)-4096], "text": text,
	} {
		_, err := FromImage(t.Context(), bytes.NewReader(b), int64(len(b)), Target{Min: 1, Max: 1}, Options{TempDir: t.TempDir()})
		if !errors.Is(err, ErrNoDatabase) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// A cancelled merge ends, and leaves nothing.
func TestBuild_Cancelled(t *testing.T) {
	t.Parallel()
	_, store, files := history(t, rand.New(rand.NewPCG(4, 4)), 12, primary.Options{})
	for after := int64(0); after < 12; after++ {
		ctx, cancel := context.WithCancel(t.Context())
		hanging := faultstore.Wrap(store, func(_ context.Context, c faultstore.Call) faultstore.Action {
			if c.N >= after {
				cancel()
				return faultstore.Action{Mode: faultstore.Hang}
			}
			return faultstore.Action{}
		})
		dir := t.TempDir()
		_, err := Build(ctx, hanging, files, Target{Level: 1, Min: 1, Max: 12}, Options{TempDir: dir})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("after %d calls: %v", after, err)
		}
		nothingLeft(t, dir)
		cancel()
	}
}
