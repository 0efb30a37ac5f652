package verify

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/superfly/ltx"

	"github.com/litefs-s3/litefs-s3/integration/primary"
	"github.com/litefs-s3/litefs-s3/objstore/filestore"
)

// BenchmarkRun checks a snapshot of 200 MB, and the same as 20 files of 10 MB.
func BenchmarkRun(b *testing.B) {
	for _, files := range []uint32{1, 20} {
		b.Run(fmt.Sprintf("files=%d", files), func(b *testing.B) {
			store, err := filestore.Create(b.TempDir(), filestore.S3Like)
			must(b, err)
			const all = 51_200
			rnd := rand.New(rand.NewPCG(1, 2))
			half := make([]byte, 1<<20)
			for i := range half {
				half[i] = byte(rnd.Uint32())
			}
			each := all / files
			for n := range files {
				h := header(ltx.TXID(n+1), ltx.TXID(n+1), (n+1)*each)
				h.PageSize = 4096
				some := map[uint32][]byte{}
				for pgno := n*each + 1; pgno <= (n+1)*each; pgno++ {
					page := make([]byte, 4096)
					copy(page, half[rnd.IntN(len(half)-2048):][:2048])
					some[pgno] = page
				}
				data, err := primary.Encode(h, some)
				must(b, err)
				put(b, store, 0, h.MinTXID, h.MaxTXID, data)
			}
			var r *Report
			for b.Loop() {
				r = Run(b.Context(), store, Options{})
				good(b, r)
			}
			b.SetBytes(r.Read)
			b.ReportMetric(float64(r.Pages)*4096*float64(b.N)/1e6/b.Elapsed().Seconds(), "pagesMB/s")
		})
	}
}
