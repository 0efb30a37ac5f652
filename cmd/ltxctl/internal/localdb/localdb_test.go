package localdb_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ncruces/go-sqlite3"

	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/localdb"
)

func openDB(t *testing.T, path string) *sqlite3.Conn {
	t.Helper()
	conn, err := sqlite3.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func exec(t *testing.T, conn *sqlite3.Conn, sql string) {
	t.Helper()
	if err := conn.Exec(sql); err != nil {
		t.Fatal(err)
	}
}

func count(t *testing.T, path string) (n int64) {
	t.Helper()
	conn, err := sqlite3.Open("file:" + path + "?mode=ro&immutable=1")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	stmt, _, err := conn.Prepare("SELECT count(*) FROM t")
	if err != nil {
		t.Fatal(err)
	}
	defer stmt.Close()
	if !stmt.Step() {
		t.Fatal(stmt.Err())
	}
	return stmt.ColumnInt64(0)
}

const fill = "INSERT INTO t WITH RECURSIVE c(n) AS (VALUES(1) UNION ALL SELECT n+1 FROM c LIMIT 4000) SELECT n, randomblob(900) FROM c"

// TestCopy_InUse: a writer commits between the steps of the copy, and the copy is of one moment; what is only in the write-ahead log is
// in it, and the log stays as it is.
func TestCopy_InUse(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a b#c?%.db") // a name that means something in a URI
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	writer := openFile(t, path)
	exec(t, writer, "PRAGMA page_size=1024; PRAGMA journal_mode=wal; PRAGMA wal_autocheckpoint=0; CREATE TABLE t(id, x)")
	exec(t, writer, fill)
	before, err := os.Stat(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	steps := 0
	image, err := localdb.Copy(t.Context(), path, t.TempDir(), func(done, total int64) {
		if steps++; steps > 50 { // a copy that begins anew with each commit would never end
			return
		}
		exec(t, writer, "UPDATE t SET x = randomblob(900) WHERE id % 3 = 0; INSERT INTO t VALUES (0, 0)")
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := count(t, image.Path()); n != 4000 || steps < 3 {
		t.Errorf("%d rows after %d steps, want the 4000 of the beginning", n, steps)
	}
	if verdict, err := localdb.Check(t.Context(), image.Path()); verdict != "ok" || err != nil {
		t.Errorf("%q, %v", verdict, err)
	}
	if after, err := os.Stat(path + "-wal"); err != nil || after.Size() < before.Size() {
		t.Errorf("the write-ahead log was touched: %v, %v", after, err)
	}
	if err := image.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Dir(image.Path())); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("left behind: %v", err)
	}
}

// openFile opens a path that is no URI.
func openFile(t *testing.T, path string) *sqlite3.Conn {
	conn, err := sqlite3.OpenFlags(path, sqlite3.OPEN_READWRITE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// TestCopy_KeepsTheLogWhenItIsTheLast: a database in WAL mode whose writer was killed is copied whole, and its log is still there: a
// Litestream that comes back goes on from it.
func TestCopy_KeepsTheLogWhenItIsTheLast(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	live, dead := filepath.Join(dir, "live.db"), filepath.Join(dir, "dead.db")
	conn := openDB(t, live)
	exec(t, conn, "PRAGMA journal_mode=wal; CREATE TABLE t(x); INSERT INTO t VALUES (1), (2)")
	for _, suffix := range []string{"", "-wal"} {
		data, err := os.ReadFile(live + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dead+suffix, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	image, err := localdb.Copy(t.Context(), dead, dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer image.Close()
	if n := count(t, image.Path()); n != 2 {
		t.Errorf("%d rows, want 2", n)
	}
	a, err1 := os.ReadFile(live + "-wal")
	b, err2 := os.ReadFile(dead + "-wal")
	if err1 != nil || err2 != nil || string(a) != string(b) {
		t.Errorf("the log has changed: %d and %d bytes, %v, %v", len(a), len(b), err1, err2)
	}
}

func TestCopy_Refuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text, empty := filepath.Join(dir, "text"), filepath.Join(dir, "empty")
	os.WriteFile(text, []byte(strings.Repeat("no database ", 100)), 0o600)
	os.WriteFile(empty, nil, 0o600)
	for path, want := range map[string]error{
		filepath.Join(dir, "missing"): fs.ErrNotExist, empty: localdb.ErrEmpty, text: sqlite3.NOTADB,
	} {
		if _, err := localdb.Copy(t.Context(), path, dir, nil); !errors.Is(err, want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}
	if _, err := localdb.Copy(t.Context(), dir, dir, nil); err == nil || !strings.Contains(err.Error(), "ordinary file") {
		t.Errorf("a directory: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "ltxctl-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if _, err := os.Stat(filepath.Join(dir, "missing")); err == nil {
		t.Error("a database was made where there was none")
	}
}

func TestCopy_Interrupted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "app.db")
	exec(t, openDB(t, path), "PRAGMA page_size=512; CREATE TABLE t(id, x); "+fill)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := localdb.Copy(ctx, path, dir, func(int64, int64) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "ltxctl-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "app.db")
	conn := openDB(t, path)
	exec(t, conn, "PRAGMA journal_mode=wal; CREATE TABLE t(id, x); CREATE INDEX i ON t(id); "+fill)
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	if verdict, err := localdb.Check(t.Context(), path); verdict != "ok" || err != nil {
		t.Errorf("a sound one in WAL mode: %q, %v", verdict, err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("put beside it: %v", entries)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	copy(data[len(data)/2:], make([]byte, 4096))
	os.WriteFile(path, data, 0o600)
	if verdict, err := localdb.Check(t.Context(), path); verdict == "ok" || verdict == "" || err != nil {
		t.Errorf("a page of zeros: %q, %v", verdict, err)
	}
	os.WriteFile(path, []byte(strings.Repeat("text", 1000)), 0o600)
	if verdict, err := localdb.Check(t.Context(), path); !strings.Contains(verdict, "not a database") || err != nil {
		t.Errorf("text: %q, %v", verdict, err)
	}
	if _, err := localdb.Check(t.Context(), filepath.Join(dir, "missing")); err == nil {
		t.Error("a missing file has a verdict")
	}
}
