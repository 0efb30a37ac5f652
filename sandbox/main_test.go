package sandbox_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/superfly/ltx"

	"github.com/litefs-s3/litefs-s3/integration/replicagen"
	"github.com/litefs-s3/litefs-s3/integration/sample"
	"github.com/litefs-s3/litefs-s3/integration/wasimodule"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
	"github.com/litefs-s3/litefs-s3/objstore/storetest"
	"github.com/litefs-s3/litefs-s3/sandbox"
)

// module is what all tests here run, built once for each state of the source.
var module []byte

func TestMain(m *testing.M) {
	var err error
	if module, err = wasimodule.Load(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	storetest.Main(m)
}

// world is a replica, and what is in it.
type world struct {
	store *memstore.Store
	made  *replicagen.Replica
	image []byte // the database file at the last TXID
}

// theReplica is that of a sample of 2 MB, in 12 files.
func theReplica(t testing.TB) world {
	t.Helper()
	w, err := replica()
	if err != nil {
		t.Fatal(err)
	}
	return w
}

var replica = sync.OnceValues(func() (w world, err error) {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "sandbox")
	if err != nil {
		return w, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "sample.db")
	if err := sample.Build(ctx, path, sample.Options{Posts: 3000}); err != nil {
		return w, err
	}
	w.store = new(memstore.Store)
	image := func(txid ltx.TXID) string { return filepath.Join(dir, txid.String()) }
	if w.made, err = replicagen.Chain(ctx, w.store, path, replicagen.Options{Files: 12, Image: image}); err != nil {
		return w, err
	}
	w.image, err = os.ReadFile(image(w.made.TXID))
	return w, err
})

// open opens a sandbox on the replica.
func open(t testing.TB, o sandbox.Options) *sandbox.Sandbox {
	t.Helper()
	return openOn(t, theReplica(t).store, o)
}

// openOn opens a sandbox, of one instance if nothing else is said.
func openOn(t testing.TB, store sandbox.Store, o sandbox.Options) *sandbox.Sandbox {
	t.Helper()
	o.Module = module
	if o.Instances == 0 {
		o.Instances = 1
	}
	sb, err := o.Open(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sb.Close() })
	return sb
}

// all returns the rows of a statement.
func all(ctx context.Context, sb *sandbox.Sandbox, query string, args ...any) (rows [][]any, err error) {
	r, err := sb.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	for r.Next() {
		rows = append(rows, append([]any{}, r.Values()...))
	}
	return rows, r.Err()
}

// one returns the only value of a statement.
func one(t testing.TB, sb *sandbox.Sandbox, query string, args ...any) any {
	t.Helper()
	rows, err := all(t.Context(), sb, query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	if len(rows) != 1 || len(rows[0]) != 1 {
		t.Fatalf("%s: %v, want one value", query, rows)
	}
	return rows[0][0]
}
