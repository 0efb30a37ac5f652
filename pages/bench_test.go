package pages

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/superfly/ltx"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
)

// giant is a replica of any size that exists only as far as it is read: one file whose frames all have the same size.
type giant struct {
	objstore.Store
	file   index.File
	header []byte
	tail   []byte // from the end marker on
}

const giantPage = 4096

// giantFrame is page pgno as the LTX encoder could have encoded it: 16 bytes of content, and zeros.
func giantFrame(pgno uint32) []byte {
	b := binary.BigEndian.AppendUint32(nil, pgno)
	b = binary.BigEndian.AppendUint16(b, ltx.PageHeaderFlagSize)
	b = append(b, 0, 0, 0, 0)
	b = append(b, 0xff, 17-15) // 17 literals, and a long match
	b = append(b, 13, 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, pgno)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	b = append(b, 1, 0) // one byte back
	more := giantPage - 17 - 12 - 4 - 15
	for ; more >= 255; more -= 255 {
		b = append(b, 255)
	}
	b = append(b, byte(more), 12<<4)
	b = append(b, make([]byte, 12)...)
	binary.BigEndian.PutUint32(b[6:], uint32(len(b)-10))
	return b
}

func newGiant(pages uint32) *giant {
	frame := int64(len(giantFrame(1)))
	header, err := (&ltx.Header{
		Version: ltx.Version, Flags: ltx.HeaderFlagNoChecksum, PageSize: giantPage, Commit: pages,
		MinTXID: 1, MaxTXID: 1, Timestamp: 1, WALOffset: 32,
	}).MarshalBinary()
	if err != nil {
		panic(err)
	}
	tail := make([]byte, ltx.PageHeaderSize, int64(pages)*12)
	for i := range pages {
		if i+1 == ltx.LockPgno(giantPage) {
			continue
		}
		tail = binary.AppendUvarint(tail, uint64(i+1))
		tail = binary.AppendUvarint(tail, uint64(len(header))+uint64(densePosition(i))*uint64(frame))
		tail = binary.AppendUvarint(tail, uint64(frame))
	}
	tail = append(tail, 0)
	tail = binary.BigEndian.AppendUint64(tail, uint64(len(tail)-ltx.PageHeaderSize))
	tail = append(tail, make([]byte, ltx.TrailerSize)...)
	n := pages
	if pages >= ltx.LockPgno(giantPage) {
		n--
	}
	size := int64(len(header)) + int64(n)*frame + int64(len(tail))
	return &giant{
		file:   index.File{Level: index.SnapshotLevel, Min: 1, Max: 1, Size: size, ETag: "giant"},
		header: header, tail: tail,
	}
}

// densePosition is the number of the frame that holds page i+1.
func densePosition(i uint32) uint32 {
	if i+1 > ltx.LockPgno(giantPage) {
		return i - 1
	}
	return i
}

func (g *giant) List(_ context.Context, prefix, startAfter string) (objstore.Page, error) {
	if key := g.file.Key(); len(key) >= len(prefix) && key[:len(prefix)] == prefix && key > startAfter {
		return objstore.Page{Objects: []objstore.Info{{Key: key, Size: g.file.Size, ETag: g.file.ETag}}}, nil
	}
	return objstore.Page{}, nil
}

func (g *giant) ReadAt(_ context.Context, _ objstore.Ref, p []byte, off int64) error {
	frame := int64(len(giantFrame(1)))
	tailOff := g.file.Size - int64(len(g.tail))
	for len(p) > 0 {
		var n int
		switch {
		case off < int64(len(g.header)):
			n = copy(p, g.header[off:])
		case off >= tailOff:
			n = copy(p, g.tail[off-tailOff:])
		default:
			i := uint32((off - int64(len(g.header))) / frame)
			if i+1 >= ltx.LockPgno(giantPage) {
				i++
			}
			n = copy(p, giantFrame(i + 1)[(off-int64(len(g.header)))%frame:])
		}
		p, off = p[n:], off+int64(n)
	}
	return nil
}

// BenchmarkWarmRead reads pages that are in the cache, from databases of three sizes, by one reader and by several.
func BenchmarkWarmRead(b *testing.B) {
	for _, pages := range []uint32{10_000, 1_000_000, 10_000_000} {
		if pages > 1_000_000 && testing.Short() {
			continue
		}
		g := newGiant(pages)
		tracker, err := index.Open(b.Context(), g, index.Options{})
		if err != nil {
			b.Fatal(err)
		}
		cache := NewCache(1 << 30)
		source := NewSource(g, tracker, cache)
		source.SetMaxAhead(0) // nothing but the pages asked for
		v := tracker.View()
		// As many pages everywhere, spread over the whole database.
		working := make([]uint32, 1000) // 4 MB: what is measured is the way to the page, not the memory
		buf := make([]byte, giantPage)
		r := source.NewReader()
		for i := range working {
			working[i] = 1 + uint32(i)*(pages/uint32(len(working)))
			if err := r.ReadPage(b.Context(), v, working[i], buf); err != nil {
				b.Fatal(err)
			}
		}
		r.Close()
		rand.New(rand.NewPCG(1, 2)).Shuffle(len(working), func(i, j int) { working[i], working[j] = working[j], working[i] })
		for _, readers := range []int{1, runtime.GOMAXPROCS(0)} {
			b.Run(fmt.Sprintf("pages=%d/readers=%d", pages, readers), func(b *testing.B) {
				benchmarkWarm(b, source, v, readers, func(i uint32) uint32 { return working[i%uint32(len(working))] })
			})
		}
		if pages == 10_000 {
			b.Run(fmt.Sprintf("pages=%d/readers=%d/same=true", pages, runtime.GOMAXPROCS(0)), func(b *testing.B) {
				benchmarkWarm(b, source, v, runtime.GOMAXPROCS(0), func(uint32) uint32 { return working[0] })
			})
		}
		source.Close()
	}
}

func benchmarkWarm(b *testing.B, source *Source, v *index.View, readers int, next func(i uint32) uint32) {
	b.ReportAllocs()
	before := source.Stats()
	var wg sync.WaitGroup
	var failed atomic.Value
	b.ResetTimer()
	for n := range readers {
		wg.Go(func() {
			r := source.NewReader()
			defer r.Close()
			buf := make([]byte, giantPage)
			ctx := context.Background()
			for i := uint32(n * 1000); i < uint32(n*1000+b.N/readers); i++ {
				if err := r.ReadPage(ctx, v, next(i), buf); err != nil {
					failed.Store(fmt.Sprint(err))
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	if err := failed.Load(); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(source.Stats().Fetches-before.Fetches)/float64(b.N), "GETs/op")
}

// BenchmarkColdScan reads a whole database in order with nothing in the cache, and the same bytes by plain range GETs
// side by side, decoded as well.
func BenchmarkColdScan(b *testing.B) {
	r := newReplica(4096)
	const pages = 50_000 // 200 MB
	r.commit(pages)
	for _, delay := range []time.Duration{0, 5 * time.Millisecond, 25 * time.Millisecond} {
		b.Run(fmt.Sprintf("delay=%s/how=plain", delay), func(b *testing.B) { benchmarkPlain(b, r, delay) })
		for _, budget := range []int64{64 << 20, 1 << 30} {
			b.Run(fmt.Sprintf("delay=%s/how=pages/cacheMiB=%d", delay, budget>>20), func(b *testing.B) {
				benchmarkScan(b, r, delay, budget)
			})
		}
	}
}

func benchmarkScan(b *testing.B, r *replica, delay time.Duration, budget int64) {
	store := &spy{Store: r.store}
	tracker, err := index.Open(b.Context(), store, index.Options{})
	if err != nil {
		b.Fatal(err)
	}
	if delay > 0 {
		store.delay(delay)
	}
	v := tracker.View()
	buf := make([]byte, v.PageSize)
	b.SetBytes(int64(v.Commit) * int64(v.PageSize))
	store.take()
	for b.Loop() {
		source := NewSource(store, tracker, NewCache(budget))
		reader := source.NewReader()
		for pgno := uint32(1); pgno <= v.Commit; pgno++ {
			if err := reader.ReadPage(b.Context(), v, pgno, buf); err != nil {
				b.Fatal(err)
			}
		}
		reader.Close()
		source.Close()
	}
	gets := store.take()
	b.ReportMetric(float64(len(gets))/float64(b.N), "GETs/op")
	b.ReportMetric(float64(sum(gets))/float64(b.N)/float64(encodedSize(v)), "fetched/needed")
}

func encodedSize(v *index.View) (n int64) {
	for pgno := uint32(1); pgno <= v.Commit; pgno++ {
		p, _ := v.Lookup(pgno)
		n += p.Frame.Size
	}
	return n
}

// benchmarkPlain fetches the file in ranges of 2 MiB, 16 at a time, decodes every frame and copies it once.
func benchmarkPlain(b *testing.B, r *replica, delay time.Duration) {
	store := &spy{Store: r.store}
	tracker, err := index.Open(b.Context(), store, index.Options{})
	if err != nil {
		b.Fatal(err)
	}
	if delay > 0 {
		store.delay(delay)
	}
	v := tracker.View()
	first, _ := v.Lookup(1)
	var spans []index.Span
	for s, ok := first.Around(0, maxSpan), true; ok; s, ok = s.Next(maxSpan) {
		spans = append(spans, s)
	}
	b.SetBytes(int64(v.Commit) * int64(v.PageSize))
	store.take()
	for b.Loop() {
		var wg sync.WaitGroup
		slots := make(chan struct{}, 16)
		for _, s := range spans {
			slots <- struct{}{}
			wg.Go(func() {
				defer func() { <-slots }()
				raw := buffers.get(s.Size)
				defer buffers.put(raw)
				if err := store.ReadAt(b.Context(), s.File.Ref(), raw, s.Off); err != nil {
					b.Error(err)
					return
				}
				buf, dst := make([]byte, v.PageSize), make([]byte, v.PageSize)
				for p := range s.Pages() {
					at := p.Frame.Off - s.Off
					if err := index.DecodeFrame(raw[at:at+p.Frame.Size], p.Pgno, buf); err != nil {
						b.Error(err)
					}
					copy(dst, buf)
				}
			})
		}
		wg.Wait()
	}
	b.ReportMetric(float64(len(store.take()))/float64(b.N), "GETs/op")
}
