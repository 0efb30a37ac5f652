package objstore_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"

	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

// Decorators are put around a backend: here a prefix, counters, retries. The backend lies in memory; another one is s3store.Open.
func Example() {
	metrics := objstore.NewMetrics(new(memstore.Store))
	store := objstore.WithPrefix(objstore.Retry(metrics, objstore.RetryOptions{}), "app/")
	ctx := context.Background()

	create := objstore.PutOptions{OnlyCreate: true} // fails when the object is there
	if _, err := store.Put(ctx, "greeting", strings.NewReader("hello, world"), create); err != nil {
		log.Fatal(err)
	}
	_, err := store.Put(ctx, "greeting", strings.NewReader("goodbye"), create)
	fmt.Println("a second time:", errors.Is(err, objstore.ErrExists))

	part := make([]byte, 5)
	if err := store.ReadAt(ctx, objstore.Ref{Key: "greeting"}, part, 7); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("bytes 7 to 11: %s\n", part)

	_, err = store.ReadPrefix(ctx, objstore.Ref{Key: "nothing"}, 10)
	fmt.Println(err, errors.Is(err, objstore.ErrNotFound))
	fmt.Println(metrics.Stats().Requests(), "requests")
	// Output:
	// a second time: true
	// bytes 7 to 11: world
	// get "app/nothing": object not found true
	// 4 requests
}
