package index

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// A page list says what a sorted slice says, whatever its pages are.
func TestPageList(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(7, 1))
	random := func(n int, most uint32) []uint32 {
		pgnos := make([]uint32, n)
		for i := range pgnos {
			pgnos[i] = 1 + rng.Uint32N(most)
		}
		slices.Sort(pgnos)
		return slices.Compact(pgnos)
	}
	for name, pgnos := range map[string][]uint32{
		"empty":          nil,
		"one":            {1},
		"the last":       {1<<32 - 1},
		"both ends":      {1, 1<<32 - 1},
		"around a block": {65535, 65536, 65537, 131071, 131072},
		"no first block": seqFrom(70_000, 300),
		"all":            seqFrom(1, 200_000),
		"some":           random(3000, 5000),
		"wide":           random(3000, 1<<32-2),
		"large database": random(3000, 10_000_000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var l pageList
			for _, pgno := range pgnos {
				l.add(pgno)
			}
			l.trim()
			if got := slices.Collect(l.all()); !slices.Equal(got, pgnos) || l.len() != len(pgnos) {
				t.Fatalf("%d pages in, %d out", len(pgnos), len(got))
			}
			c := l.cursor()
			for i, want := range pgnos {
				if got, ok := c.next(); !ok || got != want || l.at(i) != want {
					t.Fatalf("page %d of the list: cursor %d (%v), at %d, want %d", i, got, ok, l.at(i), want)
				}
				c.step()
			}
			if got, ok := c.next(); ok {
				t.Errorf("page %d after the end", got)
			}
			for _, pgno := range around(pgnos) {
				want, found := slices.BinarySearch(pgnos, pgno)
				if got, ok := l.search(pgno); ok != found || ok && got != want {
					t.Fatalf("search of %d: %d, %v; want %d, %v", pgno, got, ok, want, found)
				}
				if got := l.ceil(pgno); got != want {
					t.Fatalf("ceil of %d: %d, want %d", pgno, got, want)
				}
			}
		})
	}
}

func seqFrom(first, n uint32) []uint32 { return seq(first, first+n-1) }

// around are the pages, their neighbours, and the ends of what there can be.
func around(pgnos []uint32) []uint32 {
	all := []uint32{0, 1, 65535, 65536, 1<<32 - 2, 1<<32 - 1}
	for _, pgno := range pgnos {
		all = append(all, pgno-1, pgno, pgno+1)
	}
	return all
}

// Runs do not grow beyond what they can tell apart.
func TestRun_Stretch(t *testing.T) {
	t.Parallel()
	one := func(n int, pgno uint32) *run {
		r := &run{first: n, last: n, commit: 100}
		r.pages.add(pgno)
		return r
	}
	longest, beyond := one(7+maxStretch-1, 2), one(7+maxStretch, 2)
	if r := one(7, 1); !r.joins(longest) || r.joins(beyond) {
		t.Errorf("%d files join: %v; one more: %v", maxStretch, r.joins(longest), r.joins(beyond))
	}
	m := mergeRuns(one(7, 1), longest)
	for i, want := range []int{7, 7 + maxStretch - 1} {
		if got := m.seg(i); got != want {
			t.Errorf("page %d is in file %d, want %d", m.pages.at(i), got, want)
		}
	}
}

// A chain of more files than one run can tell apart has several runs, and each page is found in the newest.
func TestTable_MoreFilesThanARunTellsApart(t *testing.T) {
	t.Parallel()
	n := maxStretch + 5000
	if raceEnabled || testing.Short() {
		n = 2000 // TestRun_Stretch holds the rule
	}
	segs := make([]*segment, 0, n)
	segs = append(segs, layer(512, 100, 1, 1, seq(1, 100)))
	for i := 1; i < n; i++ {
		segs = append(segs, layer(512, 100, TXID(i+1), TXID(i+1), []uint32{1 + uint32(i)%100}))
	}
	tab := newTable(segs)
	for pgno := uint32(1); pgno <= 100; pgno++ {
		newest := n - 1
		for 1+uint32(newest)%100 != pgno {
			newest--
		}
		if p, ok := tab.find(pgno); !ok || p.seg != newest || tab.version(p) != TXID(newest+1) {
			t.Fatalf("page %d: found in file %d (%v), want %d", pgno, p.seg, ok, newest)
		}
	}
}

// TestTable_Memory: what a chain of forty files costs above the snapshot, where one page in three was written more than once.
// It is arithmetic, and the same on every machine.
func TestTable_Memory(t *testing.T) {
	t.Parallel()
	for _, pages := range []uint32{30_000, 1_000_000, 10_000_000} {
		v := stack(pages, 0, 0)
		tab := v.table.Load()
		rng := rand.New(rand.NewPCG(9, uint64(pages)))
		written := map[uint32]bool{}
		txid := TXID(2)
		for _, level := range []struct{ files, pages int }{{3, 8000}, {6, 1500}, {10, 300}, {20, 40}} {
			for range level.files {
				var pgnos []uint32
				for range level.pages {
					pgno := 2 + rng.Uint32N(pages-2)
					if rng.IntN(2) == 0 {
						pgno = 2 + rng.Uint32N(pages/100) // what changes all the time
					}
					if pgno != 262145 {
						pgnos = append(pgnos, pgno)
						written[pgno] = true
					}
				}
				slices.Sort(pgnos)
				tab = tab.extend(layer(4096, pages, txid, txid, slices.Compact(pgnos)))
				txid++
			}
		}
		base, layers := tab.bytes()
		perBase, perPage := float64(base)/float64(pages), float64(layers)/float64(len(written))
		t.Logf("%d pages: %.2f bytes each in the snapshot, %.2f for each of %d newer ones", pages, perBase, perPage, len(written))
		if perBase > 3 || perPage > 16 {
			t.Errorf("%d pages: %.2f bytes each in the snapshot, %.2f for each of %d newer ones", pages, perBase, perPage, len(written))
		}
	}
}
