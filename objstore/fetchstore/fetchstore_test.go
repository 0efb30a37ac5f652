//go:build js && wasm

package fetchstore_test

import (
	"context"
	"fmt"
	"os"
	"syscall/js"
	"testing"
	"time"

	"github.com/litefs-s3/litefs-s3/internal/promise"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/fetchstore"
	"github.com/litefs-s3/litefs-s3/objstore/storetest"
)

// TestStore runs in Node, against a server that it is told of: make test-web starts one.
func TestStore(t *testing.T) {
	server := os.Getenv("LITEFS_S3_STORES")
	if server == "" {
		t.Fatal("LITEFS_S3_STORES is not set; make test-web runs this test")
	}
	n := 0
	storetest.RunReadOnly(t, func(t *testing.T, objects map[string][]byte) objstore.Store {
		n++
		base := fmt.Sprintf("%s/store-%d-%d", server, time.Now().UnixNano(), n)
		for key, data := range objects {
			put(t, base+"/"+key, data)
		}
		place, err := fetchstore.ParseURL(base, nil)
		if err != nil {
			t.Fatal(err)
		}
		return fetchstore.Open(place)
	})
}

func put(t *testing.T, url string, data []byte) {
	t.Helper()
	body := js.Global().Get("Uint8Array").New(len(data))
	js.CopyBytesToJS(body, data)
	resp, err := promise.Await(context.Background(), js.Global().Call("fetch", url, map[string]any{"method": "PUT", "body": body}))
	if err != nil || !resp.Get("ok").Bool() {
		t.Fatalf("put %s: %v", url, err)
	}
	// Node keeps a connection busy until the body is read.
	if _, err := promise.Await(context.Background(), resp.Call("arrayBuffer")); err != nil {
		t.Fatal(err)
	}
}
