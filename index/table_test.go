package index

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// randomSegment is a file of a random history: growth writes every page it grows over, as the format wants, except
// where hole says so.
func randomSegment(rng *rand.Rand, lo, hi TXID, before, size uint32) *segment {
	pgnos := map[uint32]bool{}
	switch rng.IntN(6) {
	case 0: // every page
		for pgno := range size {
			pgnos[pgno+1] = true
		}
	case 1: // the first ones
		for pgno := range rng.Uint32N(size + 1) {
			pgnos[pgno+1] = true
		}
	case 2: // none
	default:
		for range rng.IntN(30) {
			pgnos[1+rng.Uint32N(size)] = true
		}
	}
	for pgno := before + 1; pgno <= size; pgno++ {
		if rng.IntN(20) > 0 {
			pgnos[pgno] = true
		}
	}
	return layer(512, size, lo, hi, slices.Sorted(maps.Keys(pgnos)))
}

// tableModel is what a stack of files says, without any cleverness.
type tableModel struct {
	commit uint32
	from   map[uint32]int // which segment holds the page, counted from the first
}

func (m tableModel) lay(n int, s *segment) tableModel {
	next := tableModel{s.commit, map[uint32]int{}}
	for pgno, from := range m.from {
		if pgno <= s.commit {
			next.from[pgno] = from
		}
	}
	pages := s.pages()
	for pgno := range pages.all() {
		next.from[pgno] = n
	}
	return next
}

// agree compares every page; segs are all that were ever laid down.
func (m tableModel) agree(tab *table, segs []*segment) error {
	for pgno := uint32(0); pgno <= 200; pgno++ {
		p, ok := tab.find(pgno)
		from, want := m.from[pgno]
		switch {
		case ok != want:
			return fmt.Errorf("page %d found: %v, want %v", pgno, ok, want)
		case !ok:
		case tab.segs[p.seg] != segs[from]:
			return fmt.Errorf("page %d in %s, want %s", pgno, tab.segs[p.seg].file, segs[from].file)
		case segs[from].pgno(p.i) != pgno:
			return fmt.Errorf("page %d at frame %d, which holds page %d", pgno, p.i, segs[from].pgno(p.i))
		}
	}
	return nil
}

// A table built one segment at a time, and one built at once, say what a map says; older tables do not change.
func TestTable_AgreesWithMap(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 5))
		size := 1 + rng.Uint32N(150)
		first := layer(512, size, 1, 1, seq(1, size))
		segs := []*segment{first}
		m := tableModel{}.lay(0, first)
		tables, models := []*table{newTable(segs)}, []tableModel{m}
		for n := 1; n < 40; n++ {
			before := size
			if rng.IntN(3) == 0 {
				size = 1 + rng.Uint32N(150)
			}
			s := randomSegment(rng, TXID(n+1), TXID(n+1), before, size)
			segs = append(segs, s)
			m = m.lay(n, s)
			tables, models = append(tables, tables[n-1].extend(s)), append(models, m)
			if err := m.agree(newTable(slices.Clone(segs)), segs); err != nil {
				t.Fatalf("seed %d: %d segments at once: %v", seed, n+1, err)
			}
		}
		for n := range tables {
			if err := models[n].agree(tables[n], segs); err != nil {
				t.Fatalf("seed %d: %d segments: %v", seed, n+1, err)
			}
			if runs := tables[n].runs; len(runs) > 9 {
				t.Fatalf("seed %d: %d segments: %d runs", seed, n+1, len(runs))
			}
		}
	}
}

// Versions that a table inherits name the same content as before: for each page the transaction that made it.
func TestTable_InheritKeepsContent(t *testing.T) {
	t.Parallel()
	for seed := range uint64(400) {
		rng := rand.New(rand.NewPCG(seed, 6))
		// made[t][pgno] is the transaction that made the content of the page at t.
		made := []map[uint32]TXID{{}}
		commits := []uint32{0}
		const last = 40
		for txid := TXID(1); txid <= last; txid++ {
			size := commits[txid-1]
			switch {
			case txid == 1:
				size = 1 + rng.Uint32N(60)
			case rng.IntN(4) == 0:
				size = 1 + rng.Uint32N(60)
			}
			now := map[uint32]TXID{}
			for pgno, by := range made[txid-1] {
				if pgno <= size {
					now[pgno] = by
				}
			}
			for range rng.IntN(5) {
				now[1+rng.Uint32N(size)] = txid
			}
			for pgno := commits[txid-1] + 1; pgno <= size; pgno++ {
				now[pgno] = txid
			}
			made, commits = append(made, now), append(commits, size)
		}
		file := func(lo, hi TXID) *segment {
			pgnos := map[uint32]bool{}
			for txid := lo; txid <= hi; txid++ {
				for pgno, by := range made[txid] {
					if (by == txid || lo == 1) && pgno <= commits[hi] {
						pgnos[pgno] = true
					}
				}
			}
			return layer(512, commits[hi], lo, hi, slices.Sorted(maps.Keys(pgnos)))
		}
		chain := func(to TXID) []*segment { // a random one, with overlaps
			segs := []*segment{file(1, 1+TXID(rng.IntN(int(to))))}
			for at := segs[0].file.Max; at < to; at = segs[len(segs)-1].file.Max {
				lo := at + 1 - TXID(rng.IntN(int(min(at, 4))))
				segs = append(segs, file(max(lo, 2), at+1+TXID(rng.IntN(int(to-at)))))
			}
			return segs
		}
		content := map[pageKey]TXID{}
		check := func(tab *table, txid TXID) {
			t.Helper()
			for pgno := uint32(1); pgno <= commits[txid]; pgno++ {
				p, ok := tab.find(pgno)
				if !ok {
					t.Fatalf("seed %d: page %d at %s not found", seed, pgno, txid)
				}
				key := pageKey{0, pgno, tab.version(p)}
				by := made[txid][pgno]
				if was, seen := content[key]; seen && was != by {
					t.Fatalf("seed %d: at %s: %+v was made by %s and is made by %s", seed, txid, key, was, by)
				}
				if key.version > txid || key.version < by {
					t.Fatalf("seed %d: at %s: page %d, made by %s, has version %s", seed, txid, pgno, by, key.version)
				}
				content[key] = by
			}
		}
		at := TXID(1 + rng.IntN(5))
		tab := newTable(chain(at))
		check(tab, at)
		for at < last {
			old, was := tab, at
			if rng.IntN(2) == 0 {
				at = min(last, at+1+TXID(rng.IntN(6)))
			}
			tab = newTable(chain(at))
			tab.inherit(old, was)
			check(tab, at)
			if at == was { // moved, not changed
				for pgno := uint32(1); pgno <= commits[at]; pgno++ {
					p, _ := tab.find(pgno)
					q, _ := old.find(pgno)
					if shared := old.indexOf(tab.segs[p.seg].file) >= 0; !shared && tab.version(p) != old.version(q) {
						t.Fatalf("seed %d: at %s: page %d: version %s became %s", seed, at, pgno, old.version(q), tab.version(p))
					}
				}
			}
			if at < last && rng.IntN(3) == 0 {
				at++
				tab = tab.extend(file(at, at))
				check(tab, at)
			}
		}
	}
}

// What a segment does with frame numbers is what counting does.
func TestSegment_AgreesWithCounting(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 7))
		n := []int{0, 1, 2, 63, 64, 65, 127, 128, 129, 300}[rng.IntN(10)]
		pageSize := []uint32{512, 65536}[rng.IntN(2)]
		s := &segment{file: &File{}, header: header{pageSize: pageSize, commit: 100000}}
		if rng.IntN(2) == 0 {
			s.narrow = []uint16{}
		} else {
			s.wide = []uint32{}
		}
		var offs []int64
		var pgnos []uint32
		off, pgno := int64(100), uint32(0)
		for i := range n {
			pgno++
			if seed%3 == 0 && (i > 5 || seed%2 == 0) {
				pgno += rng.Uint32N(4)
			}
			size := 11 + rng.Uint32N(600)
			if rng.IntN(200) == 0 {
				size = 0xffff + rng.Uint32N(3) // one that does not fit 16 bits, perhaps
			}
			s.add(pgno, off, size)
			offs, pgnos = append(offs, off), append(pgnos, pgno)
			off += int64(size)
		}
		s.trim()
		offs = append(offs, off)
		for i := range n {
			if o, size := s.span(i); o != offs[i] || size != offs[i+1]-offs[i] || s.pgno(i) != pgnos[i] || s.size(i) != size {
				t.Fatalf("seed %d: frame %d: page %d at %d+%d", seed, i, s.pgno(i), o, size)
			}
		}
		for pgno := uint32(0); pgno < 5+uint32(n)*3; pgno++ {
			want, ok := slices.BinarySearch(pgnos, pgno)
			if i, found := s.find(pgno); found != ok || ok && i != want {
				t.Fatalf("seed %d: page %d: frame %d, %v; want %d, %v", seed, pgno, i, found, want, ok)
			}
			if i := s.ceil(pgno); i != want {
				t.Fatalf("seed %d: page %d or later: frame %d, want %d", seed, pgno, i, want)
			}
		}
		for range 200 {
			at := rng.Int64N(off + 50)
			want, _ := slices.BinarySearch(offs[:n], at)
			if i := s.frameFrom(at); i != want {
				t.Fatalf("seed %d: frame at %d or later: %d, want %d", seed, at, i, want)
			}
		}
	}
}

// Spans are what looking at every frame gives.
func TestSpan_AgreesWithLooking(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 8))
		size := 1 + rng.Uint32N(200)
		segs := []*segment{layer(512, size, 1, 1, seq(1, size))}
		for n := TXID(2); n < 8; n++ {
			before := size
			if rng.IntN(3) == 0 {
				size = 1 + rng.Uint32N(200)
			}
			segs = append(segs, randomSegment(rng, n, n, before, size))
		}
		tab := newTable(segs)
		v := newView(tab, 0)
		var pages []Page
		for pgno := range v.Commit {
			if p, ok := v.Lookup(pgno + 1); ok {
				pages = append(pages, p)
			}
		}
		end := func(f Frame) int64 { return f.Off + f.Size }
		// inside are the pages whose newest frame lies whole within the bytes, in file order.
		inside := func(f *File, from, to int64) (in []Page) {
			for _, p := range pages {
				if p.Frame.File == f && p.Frame.Off >= from && end(p.Frame) <= to {
					in = append(in, p)
				}
			}
			return in
		}
		for range 100 {
			if len(pages) == 0 {
				break
			}
			p := pages[rng.IntN(len(pages))]
			seg := tab.segs[p.place.seg]
			var frames []Frame
			for i := range seg.n {
				frames = append(frames, seg.frame(i))
			}
			before, after := rng.Int64N(2000), rng.Int64N(2000)
			if rng.IntN(4) == 0 {
				before, after = 0, 0
			}
			from, to := p.Frame.Off, end(p.Frame)
			for _, f := range frames {
				if f.Off >= p.Frame.Off-before {
					from = min(from, f.Off)
				}
				if end(f) <= end(p.Frame)+after {
					to = max(to, end(f))
				}
			}
			s := p.Around(before, after)
			if s.Off != from || s.Size != to-from || s.File != p.Frame.File || !s.Contains(p) {
				t.Fatalf("seed %d: around %+v by %d, %d: %d+%d, want %d+%d", seed, p.Frame, before, after, s.Off, s.Size, from, to-from)
			}
			if got, want := slices.Collect(s.Pages()), inside(s.File, from, to); !slices.Equal(got, want) {
				t.Fatalf("seed %d: pages of %d+%d: %v, want %v", seed, s.Off, s.Size, got, want)
			}
			for _, q := range pages {
				want := q.Frame.File == s.File && q.Frame.Off >= from && end(q.Frame) <= to
				if s.Contains(q) != want {
					t.Fatalf("seed %d: contains page %d: %v", seed, q.Pgno, !want)
				}
			}
			for _, b := range []Blob{
				{File: s.File, Off: s.Off, Data: make([]byte, s.Size)},
				{File: s.File, Off: max(0, s.Off-rng.Int64N(50)), Data: make([]byte, rng.Int64N(3000))},
				{File: &File{Level: 5}, Data: make([]byte, 100)},
			} {
				var held []Page
				for q, data := range v.Held(b) {
					if int64(len(data)) != q.Frame.Size {
						t.Fatalf("seed %d: held page %d with %d bytes of %d", seed, q.Pgno, len(data), q.Frame.Size)
					}
					held = append(held, q)
				}
				if want := inside(b.File, b.Off, b.Off+int64(len(b.Data))); !slices.Equal(held, want) {
					t.Fatalf("seed %d: held by %d+%d: %d pages, want %d", seed, b.Off, len(b.Data), len(held), len(want))
				}
			}
			// Next goes on to the end of the file, without holes.
			at := to
			for next, ok := s.Next(1 + rng.Int64N(1500)); ok; next, ok = next.Next(1 + rng.Int64N(1500)) {
				if next.Off != at || next.Size <= 0 {
					t.Fatalf("seed %d: next span at %d+%d, want it at %d", seed, next.Off, next.Size, at)
				}
				at += next.Size
			}
			if want := end(frames[len(frames)-1]); at != want {
				t.Fatalf("seed %d: spans end at %d instead of %d", seed, at, want)
			}
			for range s.Pages() {
				break // a caller may stop
			}
		}
	}
	var zero Span
	if _, ok := zero.Next(1); ok || zero.Contains(Page{}) || len(slices.Collect(zero.Pages())) > 0 {
		t.Error("the zero span is not empty")
	}
}

// Many thousand files in one chain, as a writer without a compactor leaves them, are stacked in time that grows with their
// number.
func TestTable_LongChain(t *testing.T) {
	t.Parallel()
	n := 20_000
	if raceEnabled || testing.Short() {
		n = 2_000
	}
	segs := []*segment{layer(512, 5000, 1, 1, seq(1, 5000))}
	for i := 1; i < n; i++ {
		segs = append(segs, layer(512, 5000, TXID(i+1), TXID(i+1), []uint32{1, 1 + uint32(i)%5000}))
	}
	tab := newTable(segs)
	moved := newTable(segs[1:])
	moved.inherit(tab, TXID(n))
	if p, ok := tab.find(7); !ok || tab.version(p) > TXID(n) {
		t.Errorf("page 7: %+v, %v", p, ok)
	}
	if _, layers := tab.bytes(); layers > int64(n)*200 {
		t.Errorf("%d bytes for %d files of two pages", layers, n)
	}
}
