package host_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/httpstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
	"github.com/litefs-s3/litefs-s3/objstore/storetest"
	"github.com/litefs-s3/litefs-s3/web/host"
)

// TestHost wants a host to be read as a public bucket is.
func TestHost(t *testing.T) {
	t.Parallel()
	storetest.RunReadOnly(t, func(t *testing.T, objects map[string][]byte) objstore.Store {
		mem := new(memstore.Store)
		storetest.Fill(t, mem, objects)
		server := httptest.NewServer(host.New(mem))
		t.Cleanup(server.Close)
		store, err := httpstore.Open(server.URL, httpstore.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(store.CloseIdle)
		return store
	})
}

func TestHost_WritesNothing(t *testing.T) {
	t.Parallel()
	mem := new(memstore.Store)
	for _, method := range []string{http.MethodPut, http.MethodPost, http.MethodDelete} {
		w := httptest.NewRecorder()
		host.New(mem).ServeHTTP(w, httptest.NewRequest(method, "/a", nil))
		if w.Code != http.StatusMethodNotAllowed || len(mem.Objects()) > 0 {
			t.Errorf("%s: got %d, and %d objects", method, w.Code, len(mem.Objects()))
		}
	}
}
