package s3store_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/httpstore"
	"github.com/litefs-s3/litefs-s3/objstore/s3store"
)

// BenchmarkReadAt compares what a range costs through the SDK and without it, from a server that does next to nothing.
func BenchmarkReadAt(b *testing.B) {
	object := make([]byte, 16<<20)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"e"`)
		http.ServeContent(w, r, "o.ltx", time.Time{}, bytes.NewReader(object))
	}))
	defer server.Close()
	s3, err := s3store.Open(b.Context(), s3store.Config{
		Bucket: "bucket", Endpoint: server.URL, AccessKeyID: accessKey, SecretAccessKey: secretKey,
	})
	if err != nil {
		b.Fatal(err)
	}
	defer s3.CloseIdle()
	web, err := httpstore.Open(server.URL+"/app", httpstore.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer web.CloseIdle()
	for _, size := range []int{4 << 10, 512 << 10, 8 << 20} {
		for name, store := range map[string]objstore.Store{
			"s3": s3, "http": web,
			"s3,decorated": objstore.Retry(objstore.Limit(objstore.NewMetrics(s3), 64), objstore.RetryOptions{}),
		} {
			b.Run(fmt.Sprintf("store=%s/bytes=%d", name, size), func(b *testing.B) {
				b.SetBytes(int64(size))
				b.ReportAllocs()
				p := make([]byte, size)
				for b.Loop() {
					if err := store.ReadAt(b.Context(), objstore.Ref{Key: "app/o.ltx", ETag: "e"}, p, 1000); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
