package sample_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/litefs-s3/litefs-s3/integration/sample"
)

func BenchmarkBuild(b *testing.B) {
	for _, posts := range []int{10_000, 180_000} {
		b.Run(fmt.Sprintf("posts=%d", posts), func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "app.db")
			for b.Loop() {
				if err := os.RemoveAll(path); err != nil {
					b.Fatal(err)
				}
				if err := sample.Build(b.Context(), path, sample.Options{Posts: posts}); err != nil {
					b.Fatal(err)
				}
			}
			info, err := os.Stat(path)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(info.Size())/1e6, "MB")
		})
	}
}
