package integration

import (
	"context"
	"database/sql"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/integration/primary"
	"github.com/litefs-s3/litefs-s3/integration/sample"
	"github.com/litefs-s3/litefs-s3/integration/servers"
)

// TestLitestream_Directory opens what an unmodified Litestream writes to a file:// URL, which is another layout than that of
// buckets.
func TestLitestream_Directory(t *testing.T) {
	t.Parallel()
	litestream, err := servers.Build(t.Context(), "litestream")
	if err != nil {
		t.Fatal(err)
	}
	path, dir := filepath.Join(t.TempDir(), "source.db"), filepath.Join(t.TempDir(), "replica")
	source, err := sample.OpenSource(path)
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	replicate := func() {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), litestream, "replicate", "-once", path, "file://"+dir).CombinedOutput()
		if err != nil {
			t.Fatalf("litestream replicate: %v\n%s", err, out)
		}
	}
	execute(t, source, "CREATE TABLE t(id INTEGER PRIMARY KEY, x TEXT)", "INSERT INTO t(x) VALUES ('first')")
	replicate()

	db, err := litefss3.OpenDB(litefss3.Config{ReplicaURL: "file://" + dir})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var before string
	if err := conn.QueryRowContext(t.Context(), "PRAGMA litestream_txid").Scan(&before); err != nil {
		t.Fatal(err)
	}
	first := primary.Dump(t, db)
	if want := primary.Dump(t, source); first != want {
		t.Fatalf("the directory reads as\n%s\nwant\n%s", first, want)
	}

	execute(t, source, "INSERT INTO t(x) VALUES ('second')", "INSERT INTO t(x) SELECT hex(randomblob(3000)) FROM t")
	replicate()
	if err := waitForNews(t.Context(), conn, before); err != nil {
		t.Fatal(err)
	}
	if want, got := primary.Dump(t, source), primary.Dump(t, conn); got != want {
		t.Errorf("after more was written the directory reads as\n%.500s\nwant\n%.500s", got, want)
	}
	execute(t, conn, "PRAGMA litestream_txid = '"+before+"'")
	if got := primary.Dump(t, conn); got != first {
		t.Errorf("txid %s reads as\n%.500s\nwant\n%.500s", before, got, first)
	}
}

func execute(t *testing.T, db interface {
	ExecContext(context.Context, string, ...any) (sql.Result, error)
}, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// waitForNews polls until the connection reads a later TXID.
func waitForNews(ctx context.Context, conn *sql.Conn, before string) error {
	for {
		var txid string
		if err := conn.QueryRowContext(ctx, "PRAGMA litestream_txid").Scan(&txid); err != nil {
			return err
		}
		if strings.Compare(txid, before) > 0 {
			return nil
		}
	}
}
