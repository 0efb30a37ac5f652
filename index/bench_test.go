package index

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/litefs-s3/litefs-s3/objstore"
)

// BenchmarkDecodeIndex decodes the index of a snapshot that is in memory.
func BenchmarkDecodeIndex(b *testing.B) {
	for _, pages := range []uint32{10_000, 1_000_000} {
		b.Run(fmt.Sprintf("pages=%d", pages), func(b *testing.B) {
			h := newHugeFile(4096, pages+pages/262145, 9, 1500)
			f := h.file()
			index := make([]byte, h.indexSize)
			if err := h.ReadAt(b.Context(), f.Ref(), index, h.indexStart()); err != nil {
				b.Fatal(err)
			}
			hd := header{pageSize: 4096, commit: h.header.Commit}
			var seg *segment
			b.SetBytes(h.indexSize)
			for b.Loop() {
				d := newIndexDecoder(&f, hd, h.indexStart(), h.indexSize)
				for off := 0; off < len(index); off += chunkSize {
					end := min(off+chunkSize, len(index))
					if err := d.feed(index[off:end], end == len(index)); err != nil {
						b.Fatal(err)
					}
				}
				var err error
				if seg, err = d.finish(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(seg.bytes())/float64(seg.n), "B/page")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(seg.n), "ns/page")
		})
	}
}

// stack is a snapshot with layers above it, each of perLayer random pages.
func stack(pages uint32, layers, perLayer int) *View {
	rng := rand.New(rand.NewPCG(1, uint64(pages)))
	base := &segment{file: &File{Level: 9, Min: 1, Max: 1}, header: header{pageSize: 4096, commit: pages}}
	base.narrow = make([]uint16, 0, pages)
	off := int64(100)
	for pgno := uint32(1); pgno <= pages; pgno++ {
		if pgno != 262145 {
			size := 900 + rng.Uint32N(1200)
			base.add(pgno, off, size)
			off += int64(size)
		}
	}
	tab := newTable([]*segment{base})
	for n := range layers {
		pgnos := make([]uint32, perLayer)
		for i := range pgnos {
			pgnos[i] = 1 + rng.Uint32N(pages)
			if pgnos[i] == 262145 {
				pgnos[i]++
			}
		}
		slices.Sort(pgnos)
		tab = tab.extend(layer(4096, pages, TXID(n+2), TXID(n+2), slices.Compact(pgnos)))
	}
	return newView(tab, 0)
}

// BenchmarkLookup looks up random pages: the time must not grow with the database, but for what the processor's caches do
// not hold.
func BenchmarkLookup(b *testing.B) {
	for _, pages := range []uint32{10_000, 1_000_000, 10_000_000} {
		for _, layers := range []int{0, 40} {
			v := stack(pages, layers, 300)
			order := make([]uint32, 1<<16)
			for i := range order {
				order[i] = 1 + rand.Uint32N(pages)
			}
			b.Run(fmt.Sprintf("what=Lookup/pages=%d/layers=%d", pages, layers), func(b *testing.B) {
				b.ReportAllocs()
				found := 0
				for i := 0; b.Loop(); i++ {
					if p, ok := v.Lookup(order[i&(1<<16-1)]); ok && p.Frame.Size > 0 {
						found++
					}
				}
			})
			b.Run(fmt.Sprintf("what=Version/pages=%d/layers=%d", pages, layers), func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					v.Version(order[i&(1<<16-1)])
				}
			})
		}
	}
}

// BenchmarkExtend lays one more file over a View, as each poll with news does.
func BenchmarkExtend(b *testing.B) {
	for _, layers := range []int{1, 40, 120} {
		for _, perLayer := range []int{5, 300, 10_000} {
			b.Run(fmt.Sprintf("layers=%d/pages=%d", layers, perLayer), func(b *testing.B) {
				v := stack(1_000_000, layers, perLayer)
				tab := v.table.Load()
				_, bytes := tab.bytes()
				held := 0
				for _, s := range tab.segs[1:] {
					held += s.n
				}
				s := layer(4096, 1_000_000, TXID(layers+2), TXID(layers+2), seqEvery(perLayer, 90))
				b.ReportAllocs()
				for b.Loop() {
					tab.extend(s)
				}
				b.ReportMetric(float64(bytes)/float64(held), "B/layerpage")
				b.ReportMetric(float64(len(tab.runs)), "runs")
			})
		}
	}
}

func seqEvery(n int, step uint32) []uint32 {
	pgnos := make([]uint32, n)
	for i := range pgnos {
		pgnos[i] = 1 + uint32(i)*step
	}
	return pgnos
}

// BenchmarkInherit moves a View of a million pages to a new base.
func BenchmarkInherit(b *testing.B) {
	old := stack(1_000_000, 100, 1000).table.Load()
	to := stack(1_000_000, 0, 0).table.Load()
	base := *to.segs[0]
	base.file = &File{Level: 3, Min: 1, Max: 100}
	for b.Loop() {
		tab := newTable([]*segment{&base})
		tab.inherit(old, 200)
	}
}

// BenchmarkOpen opens a chain of 40 files in memory.
func BenchmarkOpen(b *testing.B) {
	m := newTestModel(b)
	m.pageSize = 4096
	m.commit(2000)
	m.snapshot()
	for i := range uint32(39) {
		m.commit(2000, i, 3*i, 7*i, 50)
	}
	counts := objstore.NewMetrics(m.store)
	for b.Loop() {
		if _, err := Open(b.Context(), counts, Options{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(counts.Stats().Requests())/float64(b.N), "requests/op")
}

// BenchmarkPlan plans a chain over a day of files.
func BenchmarkPlan(b *testing.B) {
	var all []File
	add := func(level int, every, n TXID) {
		for i := range n {
			all = append(all, File{Level: level, Min: i*every + 1, Max: (i + 1) * every, Size: 100 << 10})
		}
	}
	add(0, 1, 86400)
	add(1, 30, 2880)
	add(2, 300, 288)
	add(3, 3600, 24)
	add(9, 43200, 2)
	for b.Loop() {
		if p := newPlanner(all, nil); p.head() != 86400 {
			b.Fatal(p.head())
		}
	}
}

// BenchmarkDecodeFrame decodes one page.
func BenchmarkDecodeFrame(b *testing.B) {
	for _, o := range oddities {
		if o.name != "first_transaction" && o.name != "old_encoding" && o.name != "page_size_65536" {
			continue
		}
		b.Run("file="+o.name, func(b *testing.B) {
			data := o.golden(b)
			l, err := parseWhole(o.file(data), data)
			if err != nil {
				b.Fatal(err)
			}
			f, pgno, dst := l.seg.frame(0), l.seg.pgno(0), make([]byte, o.pageSize)
			b.SetBytes(int64(len(dst)))
			b.ReportAllocs()
			for b.Loop() {
				if err := DecodeFrame(data[f.Off:f.Off+f.Size], pgno, dst); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
