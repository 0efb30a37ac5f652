package sidecar

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"testing"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/integration/primary"
	"github.com/litefs-s3/litefs-s3/internal/btree"
	"github.com/litefs-s3/litefs-s3/objstore"
)

func write(t testing.TB, store objstore.Store, opts Options) *Report {
	t.Helper()
	r, err := Update(t.Context(), store, opts)
	must(t, err)
	return r
}

// A replica of forty files opens with one listing and one GET, and the upper pages are there.
func TestUpdate(t *testing.T) {
	t.Parallel()
	p := newPrimary(t, 4000, 40)
	r := write(t, p.Store, Options{Profile: []uint32{9, 3, 3, 7, 1 << 30}})
	if r.Tables != 41 || r.Files != 41 || r.TXID != p.TXID || r.Packed == 0 || r.Profile != 3 {
		t.Errorf("report %+v", r)
	}
	counts := objstore.NewMetrics(p.Store)
	o := mustOpen(t, counts)
	if s := counts.Stats(); s.Gets != 1 || s.Lists != 1 {
		t.Errorf("%d gets, %d lists, want one of each", s.Gets, s.Lists)
	}
	if !slices.Equal(o.side.Profile, []uint32{3, 7, 9}) {
		t.Errorf("profile %v", o.side.Profile)
	}
	o.check(t, p)
	checkUpper(t, p, o)
	write(t, p.Store, Options{})
	if again := mustOpen(t, p.Store); !slices.Equal(again.side.Profile, []uint32{3, 7, 9}) {
		t.Errorf("the profile became %v when the sidecar was written again", again.side.Profile)
	}
}

// checkUpper checks that the packed pages are those above the leaves, and page 1.
func checkUpper(t *testing.T, p *primary.Primary, o *opened) {
	t.Helper()
	v := o.View()
	packed := o.packed(v)
	h, _ := btree.ParseHeader(pageOf(p, v.TXID, 1, v.PageSize))
	inner := 0
	for pgno := uint32(1); pgno <= v.Commit; pgno++ {
		n, ok := btree.Parse(pageOf(p, v.TXID, pgno, v.PageSize), pgno, h.Usable)
		if want := ok && n.Interior() || pgno == 1; want != (packed[pgno] != nil) {
			t.Errorf("page %d, of kind %d: packed is %v", pgno, n.Kind, !want)
		} else if want {
			inner++
		}
	}
	if inner < 10 {
		t.Fatalf("%d upper pages; the database is too small for this test", inner)
	}
}

// What is packed stays within its bound, the uppermost pages first.
func TestUpperPages_Bound(t *testing.T) {
	t.Parallel()
	p := newPrimary(t, 6000, 2)
	v := mustOpen(t, p.Store).View()
	whole, err := upperPages(t.Context(), p.Store, v, maxBlobs)
	must(t, err)
	total := sizeOf(whole)
	for _, most := range []int64{0, 100, total / 4, total / 2, total - 1, total} {
		blobs, err := upperPages(t.Context(), p.Store, v, most)
		must(t, err)
		o := &opened{side: &Sidecar{Blobs: blobs}}
		if got := sizeOf(blobs); got > most || most == total && got != total {
			t.Errorf("%d bytes packed of at most %d, of %d", got, most, total)
		}
		if packed := o.packed(v); most > 4000 && packed[1] == nil {
			t.Errorf("page 1 is not among %d bytes", most)
		}
	}
}

func sizeOf(blobs []index.Blob) (n int64) {
	for _, b := range blobs {
		n += int64(len(b.Data))
	}
	return n
}

// A sidecar of any age helps, and is right: after transactions, merges, a shrink, a snapshot, and when everything it knew is gone.
func TestStale(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		do   func(p *primary.Primary)
		gets int64 // of the listing's files, and one for the sidecar
	}{
		{"nothing happened", func(*primary.Primary) {}, 1},
		{"three transactions", func(p *primary.Primary) { change(p, 3) }, 4},
		{"merged", func(p *primary.Primary) {
			p.Compact(1, 2, 13)
			p.Expire(0, 13)
		}, 2},
		{"shrunk", func(p *primary.Primary) {
			p.Exec("DELETE FROM a WHERE id > 100")
			p.Exec("VACUUM")
			p.Sync()
		}, 2},
		{"another snapshot, and all else gone", func(p *primary.Primary) {
			change(p, 1)
			p.Expire(index.SnapshotLevel, p.TXID)
			p.Snapshot()
			p.Expire(0, p.TXID)
		}, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := newPrimary(t, 1500, 20)
			write(t, p.Store, Options{})
			test.do(p)
			counts := objstore.NewMetrics(p.Store)
			o := mustOpen(t, counts)
			if got := counts.Stats().Gets; got > test.gets {
				t.Errorf("%d gets, want at most %d", got, test.gets)
			}
			o.check(t, p)
			must(t, o.Verify(t.Context()))
			o.check(t, p)
		})
	}
}

// The sidecar of another replica is of no use, also when both have files of the same names.
func TestMismatch(t *testing.T) {
	t.Parallel()
	p, other := newPrimary(t, 800, 10), newPrimary(t, 800, 10)
	write(t, other.Store, Options{})
	put(t, p.Store, bytesOf(t, other.Store))
	counts := objstore.NewMetrics(p.Store)
	o := mustOpen(t, counts)
	if got := counts.Stats().Gets; got != 12 || len(o.packed(o.View())) != 0 {
		t.Errorf("%d gets instead of 12, %d pages packed", got, len(o.packed(o.View())))
	}
	o.check(t, p)
}

// An opening of the past takes what fits.
func TestPast(t *testing.T) {
	t.Parallel()
	p := newPrimary(t, 800, 10)
	write(t, p.Store, Options{})
	o := mustOpen(t, p.Store)
	tl, err := o.Timeline(t.Context())
	must(t, err)
	for _, txid := range tl.TXIDs() {
		v, err := tl.At(t.Context(), txid)
		must(t, err)
		packed := o.packed(v)
		for pgno := uint32(1); pgno <= v.Commit; pgno++ {
			got, err := readPage(p.Store, v, packed, pgno)
			if err != nil || !bytes.Equal(got, pageOf(p, txid, pgno, v.PageSize)) {
				t.Fatalf("page %d is not that of txid %s: %v", pgno, txid, err)
			}
		}
	}
}

// Every byte matters: one that is changed, or missing, or too many, makes the sidecar one that is not used.
func TestDamaged_EveryByte(t *testing.T) {
	t.Parallel()
	p := newPrimary(t, 120, 4)
	write(t, p.Store, Options{Profile: []uint32{2, 3}})
	data := bytesOf(t, p.Store)
	for i := range data {
		bent := bytes.Clone(data)
		bent[i] ^= byte(1 << (i % 8))
		if _, err := Decode(bent); !isDamaged(err) {
			t.Fatalf("byte %d of %d changed: %v", i, len(data), err)
		}
		if _, err := Decode(data[:i]); !isDamaged(err) {
			t.Fatalf("cut at byte %d of %d: %v", i, len(data), err)
		}
	}
	if _, err := Decode(append(bytes.Clone(data), 0)); !isDamaged(err) {
		t.Fatalf("a byte more: %v", err)
	}
	data[len(data)/2]++
	put(t, p.Store, data)
	o := mustOpen(t, p.Store)
	if !isDamaged(o.err) {
		t.Errorf("the damage was not seen: %v", o.err)
	}
	o.check(t, p)
	write(t, p.Store, Options{}) // mends it
	if o := mustOpen(t, p.Store); o.err != nil || len(o.side.Layouts) != 5 {
		t.Errorf("after it was written again: %v", o.err)
	}
}

// A sidecar that is changed on purpose, with the right sum, can break no reader and forge no page: what its tables lead to is
// a frame that says that it is another page, which ends in Distrust, or some version of the very page, of a file that is there. What lies
// in the tables and leads to a frame of the wrong page is never decoded. (It may be an older version: see the package's comment.)
func TestMalicious_Tables(t *testing.T) {
	t.Parallel()
	p := newPrimary(t, 120, 4)
	write(t, p.Store, Options{})
	data := bytesOf(t, p.Store)
	side, err := Decode(data)
	must(t, err)
	side.Blobs = nil
	data = side.Encode()
	bits := []byte{1, 0x10, 0x80}
	if testing.Short() {
		bits = bits[:1]
	}
	decoded, distrusted := 0, 0
	for i := len(magic); i < len(data)-32; i++ {
		for _, bit := range bits {
			bent := bytes.Clone(data)
			bent[i] ^= bit
			put(t, p.Store, sealed(bent))
			o, err := open(t.Context(), p.Store)
			if err != nil {
				t.Fatalf("byte %d: the replica does not open: %v", i, err)
			}
			if o.err != nil {
				if !isDamaged(o.err) {
					t.Fatalf("byte %d: %v", i, o.err)
				}
				o.check(t, p) // as if there were none
				continue
			}
			decoded++
			if !honest(t, p, o) {
				distrusted++
				if err := o.Distrust(t.Context(), o.View()); !errors.Is(err, index.ErrDistrusted) {
					t.Fatalf("byte %d: a wrong table is not distrusted: %v", i, err)
				}
				o.check(t, p)
			}
		}
	}
	t.Logf("%d changes, %d passed every check, %d were met when reading", len(bits)*(len(data)-32-len(magic)), decoded, distrusted)
	if decoded == 0 || distrusted == 0 {
		t.Error("no change was dangerous: the test proves nothing")
	}
}

// honest reads every page of a View. It reports whether all of them could be read, and checks that those are versions of the page.
func honest(t *testing.T, p *primary.Primary, o *opened) bool {
	t.Helper()
	v := o.View()
	all := true
	for pgno := uint32(1); pgno <= v.Commit; pgno++ {
		got, err := readPage(p.Store, v, nil, pgno)
		if errors.Is(err, index.ErrCorrupt) {
			all = false
			continue
		}
		must(t, err)
		known := false
		for txid := index.TXID(1); txid <= p.TXID && !known; txid++ {
			known = bytes.Equal(got, pageOf(p, txid, pgno, v.PageSize))
		}
		if !known {
			t.Fatalf("page %d was never what was read", pgno)
		}
	}
	return all
}

// Packed frames that were changed on purpose are not decoded as another page, and one that is no frame is left out.
func TestMalicious_Blobs(t *testing.T) {
	t.Parallel()
	p := newPrimary(t, 400, 4)
	write(t, p.Store, Options{})
	side, err := Decode(bytesOf(t, p.Store))
	must(t, err)
	blob := side.Blobs[0]
	for _, shift := range []int64{1, -1, 50, blob.File.Size} {
		bent := blob
		bent.Off += shift
		side.Blobs = []index.Blob{bent}
		put(t, p.Store, side.Encode())
		o := mustOpen(t, p.Store)
		for pgno, frame := range o.packed(o.View()) {
			if err := index.DecodeFrame(frame, pgno, make([]byte, o.View().PageSize)); err == nil {
				t.Errorf("moved by %d bytes, page %d was decoded", shift, pgno)
			}
		}
	}
}

// Several writers at once leave one sidecar, that of the newest state one of them has seen.
func TestUpdate_Race(t *testing.T) {
	t.Parallel()
	p := newPrimary(t, 400, 3)
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			if _, err := Update(t.Context(), p.Store, Options{}); err != nil && !errors.Is(err, objstore.ErrChanged) && !errors.Is(err, objstore.ErrExists) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	counts := objstore.NewMetrics(p.Store)
	o := mustOpen(t, counts)
	if counts.Stats().Gets != 1 {
		t.Errorf("%d gets after the race", counts.Stats().Gets)
	}
	o.check(t, p)
}

// An update that has seen less than the one that was faster gives way.
func TestUpdate_NeverOlder(t *testing.T) {
	t.Parallel()
	p := newPrimary(t, 400, 3)
	slow := &overtaken{Store: p.Store, between: func() {
		change(p, 1)
		write(t, p.Store, Options{})
	}}
	write(t, slow, Options{})
	if side, err := Read(t.Context(), p.Store); err != nil || side.TXID != p.TXID {
		t.Errorf("the sidecar is of txid %s, the replica of %s: %v", side.TXID, p.TXID, err)
	}
}

// overtaken lets something happen before its first Put.
type overtaken struct {
	objstore.Store
	between func()
}

func (s *overtaken) Put(ctx context.Context, key string, body io.ReadSeeker, opts objstore.PutOptions) (string, error) {
	if f := s.between; f != nil {
		s.between = nil
		f()
	}
	return s.Store.Put(ctx, key, body, opts)
}

// A store without ETags gets no sidecar: nobody could tell what it is about.
func TestUpdate_NoETags(t *testing.T) {
	t.Parallel()
	p := newPrimary(t, 100, 1)
	if _, err := Update(t.Context(), noETags{p.Store}, Options{}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v", err)
	}
}

type noETags struct{ objstore.Store }

func (s noETags) List(ctx context.Context, prefix, startAfter string) (objstore.Page, error) {
	page, err := s.Store.List(ctx, prefix, startAfter)
	page.Objects = slices.Clone(page.Objects)
	for i := range page.Objects {
		page.Objects[i].ETag = ""
	}
	return page, err
}

// Save and Load keep a sidecar in a file.
func TestFile(t *testing.T) {
	t.Parallel()
	p := newPrimary(t, 100, 2)
	path := t.TempDir() + "/app.db-index"
	if _, err := Load(path); err == nil {
		t.Error("a missing file was loaded")
	}
	v := mustOpen(t, p.Store).View()
	must(t, (&Sidecar{TXID: v.TXID, Layouts: v.Layouts()}).Save(path))
	s, err := Load(path)
	if err != nil || len(s.Layouts) != 3 || s.TXID != v.TXID {
		t.Errorf("got %+v, %v", s, err)
	}
}

// Tables that find no room are left out, the largest first, and the sidecar stays one that can be read.
func TestEncode_Bound(t *testing.T) {
	t.Parallel()
	p := newPrimary(t, 3000, 4)
	layouts := mustOpen(t, p.Store).View().Layouts()
	for room, want := range map[int]int{0: 0, 1000: 4, 1 << 20: 5} {
		r := reader{rest: appendTables(nil, layouts, room)}
		var s Sidecar
		if err := r.layouts(&s); err != nil || len(s.Layouts) != want {
			t.Errorf("room for %d bytes: %d tables, want %d: %v", room, len(s.Layouts), want, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	p := newPrimary(f, 60, 2)
	write(f, p.Store, Options{Profile: []uint32{1, 2}})
	f.Add(bytesOf(f, p.Store))
	f.Add(new(Sidecar).Encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < len(magic)+32 {
			return
		}
		s, err := Decode(sealed(data))
		if err != nil {
			if !isDamaged(err) {
				t.Fatal(err)
			}
			return
		}
		again, err := Decode(s.Encode())
		if err != nil || len(again.Layouts) != len(s.Layouts) || len(again.Blobs) != len(s.Blobs) || !slices.Equal(again.Profile, s.Profile) {
			t.Fatalf("encoded again it is another one: %v", err)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	p := newPrimary(b, 20000, 40)
	write(b, p.Store, Options{})
	data := bytesOf(b, p.Store)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := Decode(data); err != nil {
			b.Fatal(err)
		}
	}
}
