package oteltrace_test

import (
	"fmt"
	"log"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
	"github.com/litefs-s3/litefs-s3/oteltrace"
	"github.com/litefs-s3/litefs-s3/writer"
)

// What is asked of the store becomes spans. A program passes otel.GetTracerProvider(); here it is one that remembers the names.
func Example() {
	provider := new(recorder)
	db, err := litefss3.OpenDB(litefss3.Config{
		Store: new(memstore.Store), Write: true, Durability: writer.Memory, Compaction: litefss3.CompactionOff,
		Tracer: oteltrace.New(provider),
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, sql := range []string{"CREATE TABLE posts(title)", "PRAGMA litestream_sync"} {
		if _, err := db.Exec(sql); err != nil {
			log.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		log.Fatal(err)
	}
	fmt.Println("uploads:", len(provider.named("upload")))
	// Output: uploads: 1
}
