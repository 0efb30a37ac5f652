package writer

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/litefs-s3/litefs-s3/objstore/faultstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

// BenchmarkCommit is one transaction of three pages of 4 KiB: what a single-row insert writes. Remote is against a store that takes 5 ms.
func BenchmarkCommit(b *testing.B) {
	for _, durability := range []Durability{Local, Memory, Remote} {
		b.Run("durability="+durability.String(), func(b *testing.B) {
			mem := new(memstore.Store)
			store := faultstore.Wrap(mem, func(_ context.Context, c faultstore.Call) faultstore.Action {
				return faultstore.Action{Delay: 5 * time.Millisecond}
			})
			opts := testOptions(b)
			opts.Durability, opts.SyncInterval = durability, time.Second
			d := newDatabase(b, store, opts)
			d.mem, d.pageSize = mem, 4096
			ctx, cancel := context.WithCancel(b.Context())
			defer cancel()
			go d.Run(ctx)
			d.commit(1000, 2, 3)
			d.sync()
			page := d.page(1)
			n := uint32(0)
			for b.Loop() {
				n++
				tx, err := d.Begin(context.Background(), d.Snapshot())
				must(b, err)
				for _, pgno := range []uint32{1, 2, 3 + n%900} {
					must(b, tx.WritePage(pgno, page))
				}
				_, err = tx.Commit(context.Background(), 1000)
				must(b, err)
			}
			b.ReportMetric(float64(d.Status().Puts)/b.Elapsed().Seconds(), "PUTs/s")
		})
	}
}

// BenchmarkSync is the disk alone: overwriting 12 KiB and syncing, and the same where the file grows.
func BenchmarkSync(b *testing.B) {
	for _, grows := range []bool{false, true} {
		b.Run(fmt.Sprintf("grows=%v", grows), func(b *testing.B) {
			f, err := os.Create(filepath.Join(b.TempDir(), "file"))
			must(b, err)
			defer f.Close()
			if !grows {
				_, err := f.Write(make([]byte, 64<<20))
				must(b, err)
				must(b, f.Sync())
			}
			page, off := make([]byte, 12<<10), int64(0)
			for b.Loop() {
				_, err := f.WriteAt(page, off)
				must(b, err)
				must(b, f.Sync())
				if off += int64(len(page)); !grows {
					off %= 60 << 20
				}
			}
		})
	}
}

// BenchmarkReadPage is a page of the overlay.
func BenchmarkReadPage(b *testing.B) {
	d := newDatabase(b, new(memstore.Store), testOptions(b))
	d.pageSize = 4096
	d.commit(2000)
	s, page := d.Snapshot(), make([]byte, 4096)
	n := uint32(0)
	for b.Loop() {
		n++
		if ok, err := s.ReadPage(1+n%2000, page); !ok || err != nil {
			b.Fatal(err)
		}
	}
}
