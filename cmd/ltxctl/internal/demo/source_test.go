package demo_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/ncruces/go-sqlite3"
	"github.com/superfly/ltx"

	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/demo"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

func TestCommit_MergedFilesAreTheDatabase(t *testing.T) {
	t.Parallel()
	store := new(memstore.Store)
	path := filepath.Join(t.TempDir(), "app.db")
	source, err := demo.NewSource(t.Context(), path, store)
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	for i, sql := range []string{
		"CREATE TABLE t(x); WITH RECURSIVE c(n) AS (VALUES(1) UNION ALL SELECT n+1 FROM c LIMIT 3000) INSERT INTO t SELECT hex(n) FROM c",
		"UPDATE t SET x = 'changed' WHERE rowid = 7",
		"INSERT INTO t SELECT x FROM t",
		"DELETE FROM t WHERE rowid > 10",
	} {
		c, err := source.Commit(t.Context(), sql)
		if err != nil {
			t.Fatal(err)
		}
		if c.TXID != ltx.TXID(i+1) || c.Pages == 0 || i == 1 && c.Pages > 3 {
			t.Errorf("commit %d is %+v", i+1, c)
		}
		image, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if restored := restore(t, store); !bytes.Equal(restored, image) {
			t.Errorf("after commit %d: %d bytes restored, the file has %d", i+1, len(restored), len(image))
		}
	}
}

// restore merges all files, as litestream restore does.
func restore(t *testing.T, store *memstore.Store) []byte {
	t.Helper()
	var inputs []io.Reader
	for _, object := range store.Objects() {
		dec := ltx.NewDecoder(bytes.NewReader(object.Data))
		if err := dec.Verify(); err != nil {
			t.Fatalf("%s: %v", object.Key, err)
		}
		if h := dec.Header(); h.WALOffset != 32 || h.WALSize != 0 || h.Flags != ltx.HeaderFlagNoChecksum || object.Timestamp.UnixMilli() != h.Timestamp {
			t.Errorf("%s: header %+v, stored with %s", object.Key, h, object.Timestamp)
		}
		inputs = append(inputs, bytes.NewReader(object.Data))
	}
	var merged, out bytes.Buffer
	c, err := ltx.NewCompactor(&merged, inputs)
	if err != nil {
		t.Fatal(err)
	}
	c.HeaderFlags = ltx.HeaderFlagNoChecksum
	if err := errors.Join(c.Compact(t.Context()), ltx.NewDecoder(&merged).DecodeDatabaseTo(&out)); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestCommit_AfterAnErrorNothingIsStored(t *testing.T) {
	t.Parallel()
	store := new(memstore.Store)
	source, err := demo.NewSource(t.Context(), filepath.Join(t.TempDir(), "app.db"), store)
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	if _, err := source.Commit(t.Context(), "CREATE TABLE t(x); INSERT INTO nowhere VALUES(1)"); !errors.Is(err, sqlite3.ERROR) {
		t.Errorf("got %v", err)
	}
	if c, err := source.Commit(t.Context(), "CREATE TABLE t(x)"); err != nil || c.TXID != 1 || len(store.Keys()) != 1 {
		t.Errorf("the next commit is %+v, %v", c, err)
	}
}
