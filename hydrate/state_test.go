package hydrate

import (
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/litefs-s3/litefs-s3/index"
)

func aState() *state {
	s := &state{
		name: "s3://bucket/app", pageSize: 4096, commit: 500, txid: 77, closed: stamp{12, 34}, present: newBitmap(500),
		files: []index.File{{Level: 9, Min: 1, Max: 70, Size: 1 << 40, ETag: "x-1"}, {Min: 71, Max: 71, Size: 200}},
	}
	for pgno := uint32(1); pgno <= 500; pgno += 3 {
		s.present.set(pgno)
	}
	return s
}

func pagesIn(b *bitmap) []uint32 { return slices.Collect(b.all()) }

func TestState_ReadsBackWhatWasWritten(t *testing.T) {
	t.Parallel()
	want := aState()
	got, err := decodeState(want.encode())
	must(t, err)
	if got.name != want.name || got.pageSize != want.pageSize || got.commit != want.commit || got.txid != want.txid ||
		got.closed != want.closed || !slices.Equal(got.files, want.files) || !slices.Equal(pagesIn(got.present), pagesIn(want.present)) {
		t.Errorf("got %+v", got)
	}
}

// A state file that is torn at any byte is either refused, or says what is true: the snapshot without what whole records strike
// out. A record that is torn was not acted upon.
func TestState_TornAtEveryByte(t *testing.T) {
	t.Parallel()
	s := aState()
	b := s.encode()
	snapshot := len(b)
	records := [][]uint32{{1, 4, 7}, {100, 499}, {10, 13, 16, 19, 22}}
	sum := stateSum(b)
	ends := []int{snapshot}
	for _, pgnos := range records {
		b, sum = appendRecord(b, sum, pgnos)
		ends = append(ends, len(b))
	}
	check := func(name string, torn []byte, whole int) {
		t.Helper()
		got, err := decodeState(torn)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want := s.present.copyFor(500)
		for _, pgnos := range records[:whole] {
			for _, pgno := range pgnos {
				want.clear(pgno)
			}
		}
		if !slices.Equal(pagesIn(got.present), pagesIn(want)) {
			t.Fatalf("%s: got %v", name, pagesIn(got.present))
		}
	}
	for n := range len(b) + 1 {
		if n < snapshot {
			if _, err := decodeState(b[:n]); !errors.Is(err, errState) {
				t.Fatalf("cut at byte %d of the snapshot: %v", n, err)
			}
			continue
		}
		whole := 0
		for whole+1 < len(ends) && ends[whole+1] <= n {
			whole++
		}
		check("cut", b[:n], whole)
		if whole < len(records) { // the size of the file was on disk before its bytes
			zeros := append(slices.Clone(b[:ends[whole]]), make([]byte, ends[whole+1]-ends[whole])...)
			check("zeros", zeros, whole)
			tail := slices.Clone(b[:ends[whole+1]])
			for i := max(n, ends[whole]+4); i < len(tail); i++ {
				tail[i] = 0xff
			}
			check("garbage", tail, whole)
		}
	}
	for i := range snapshot {
		flipped := slices.Clone(b)
		flipped[i] ^= 1
		if _, err := decodeState(flipped); !errors.Is(err, errState) {
			t.Fatalf("byte %d of the snapshot is wrong: %v", i, err)
		}
	}
	for i := ends[1] + 4; i < ends[2]; i++ {
		flipped := slices.Clone(b)
		flipped[i] ^= 1
		if _, err := decodeState(flipped); !errors.Is(err, errState) {
			t.Fatalf("byte %d of a record that others follow is wrong: %v", i, err)
		}
	}
}

// Copies open with a state file that is torn at every byte, and are right.
func TestState_OpensTorn(t *testing.T) {
	t.Parallel()
	r := newReplica(t, 300)
	path := r.path()
	c := r.openOnly(Options{Path: path})
	v := r.View()
	for pgno := uint32(1); pgno <= v.Commit; pgno++ {
		version, page := fetchPage(t, r.mem, v, pgno)
		c.takeOffer(offer{v.History, pgno, version, page})
	}
	must(t, c.sync())
	must(t, c.ledger.rewrite(c.state(c.picture.Load().present, stamp{})))
	for range 3 {
		r.commit(2)
		must(t, r.Poll(t.Context()))
		c.moveTo(c.heads.take())
	}
	state, err := os.ReadFile(path + stateSuffix)
	must(t, err)
	data, err := os.ReadFile(path)
	must(t, err)
	must(t, c.Close())
	v = r.View()
	step := 7
	if testing.Short() {
		step = 101
	}
	kept := 0
	for n := len(state); n > 0; n -= step {
		must(t, os.WriteFile(path, data, 0o600))
		must(t, os.WriteFile(path+stateSuffix, state[:n], 0o600))
		d, err := Open(t.Context(), r.count, "mem://replica", v, r.follower, Options{Path: path})
		must(t, err)
		kept += checkPages(t, d, v, r.primary.Image(v.TXID))
		must(t, d.Close())
	}
	if kept == 0 {
		t.Error("nothing was ever kept")
	}
}

func FuzzDecodeState(f *testing.F) {
	b := aState().encode()
	f.Add(b)
	b, _ = appendRecord(b, stateSum(b), []uint32{5, 6, 400})
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := decodeState(b)
		if err != nil {
			if !errors.Is(err, errState) {
				t.Errorf("%v", err)
			}
			return
		}
		for pgno := range s.present.all() {
			if pgno == 0 {
				t.Error("page 0 is present")
			}
		}
	})
}

func TestBitmap(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, pages := range []uint32{1, 63, 64, 65, 1000} {
		b, model := newBitmap(pages), map[uint32]bool{}
		for range 2000 {
			pgno := 1 + rnd.Uint32N(pages)
			if rnd.IntN(2) == 0 {
				if b.set(pgno) == model[pgno] {
					t.Fatalf("set(%d) was wrong about what was there", pgno)
				}
				model[pgno] = true
			} else {
				if b.clear(pgno) != model[pgno] {
					t.Fatalf("clear(%d) was wrong about what was there", pgno)
				}
				delete(model, pgno)
			}
		}
		var have, missing []uint32
		for pgno := uint32(1); pgno <= pages; pgno++ {
			if model[pgno] {
				have = append(have, pgno)
			} else {
				missing = append(missing, pgno)
			}
			if b.has(pgno) != model[pgno] {
				t.Fatalf("has(%d) is wrong", pgno)
			}
		}
		if !slices.Equal(pagesIn(b), have) || !slices.Equal(slices.Collect(b.missing(pages)), missing) || b.count() != len(have) {
			t.Errorf("of %d pages: %v", pages, pagesIn(b))
		}
		half := pages / 2
		above := slices.DeleteFunc(slices.Clone(have), func(p uint32) bool { return p <= half })
		below := slices.DeleteFunc(slices.Clone(have), func(p uint32) bool { return p > half })
		if !slices.Equal(slices.Collect(b.from(half)), above) || !slices.Equal(pagesIn(b.copyFor(half)), below) {
			t.Errorf("of %d pages, halves: %v", pages, pagesIn(b))
		}
		if got := slices.Collect(b.without(b.copyFor(half))); !slices.Equal(got, above) {
			t.Errorf("of %d pages, without the lower half: %v", pages, got)
		}
		if b.has(0) || b.has(pages+1000) || b.clear(0) {
			t.Error("pages that cannot be are there")
		}
	}
}
