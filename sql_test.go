package litefss3_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/bulk"
	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/integration/sqlgen"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
	"github.com/litefs-s3/litefs-s3/restore"
)

// TestSQL_EqualsAPlainFile runs made-up schemas, statements and queries here and on a plain file, with tiny caches and uploads at any
// moment: rows and errors are the same, and in the end the pages, too. LITEFS_S3_SQL_SEEDS runs so many seeds, from LITEFS_S3_SQL_FIRST on.
func TestSQL_EqualsAPlainFile(t *testing.T) {
	t.Parallel()
	first, seeds := number(t, "LITEFS_S3_SQL_FIRST", 0), number(t, "LITEFS_S3_SQL_SEEDS", scaled(24, 4))
	for seed := first; seed < first+seeds; seed++ {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			t.Parallel()
			equalsAPlainFile(t, uint64(seed))
		})
	}
}

func number(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

func equalsAPlainFile(t *testing.T, seed uint64) {
	g := sqlgen.New(seed)
	store := new(memstore.Store)
	db := open(t, store, writing(t), func(c *litefss3.Config) {
		c.SyncInterval = []time.Duration{time.Millisecond, 10 * time.Millisecond, time.Hour}[seed%3]
		c.Compaction = litefss3.CompactionOff
	})
	path := filepath.Join(t.TempDir(), "plain.db")
	plain, err := sql.Open("sqlite3", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	ours, theirs := only(t, db), only(t, plain)
	pragmas, pageSize := g.Settings()
	for _, q := range pragmas {
		execute(t, ours, q)
		execute(t, theirs, q)
	}
	for _, conn := range []*sql.Conn{ours, theirs} {
		execute(t, conn, "PRAGMA user_version = 1") // now there is a database
	}
	execute(t, ours, "PRAGMA litestream_sync")
	follower := only(t, open(t, store, following, func(c *litefss3.Config) {
		c.ReplicaURL += "-follower"
		c.Sidecar = litefss3.NoSidecar
	}))
	statements, failed := 0, 0
	for n := range 60 {
		if n%4 == 3 {
			checkFollower(t, ours, follower, g)
		}
		for _, q := range g.Batch() {
			statements++
			got, want := answer(ours, q), answer(theirs, q)
			if got != want {
				t.Fatalf("seed %d, batch %d, %.300s:\n%.1000s\nand on a plain file:\n%.1000s\nbecause of %v", seed, n, q, got, want, litefss3.Cause(ours, "main"))
			}
			if strings.HasPrefix(got, "sqlite3: ") {
				failed++
			}
		}
	}
	if failed*4 > statements*3 {
		t.Errorf("%d of %d statements failed: nothing was tested", failed, statements)
	}
	t.Logf("%d statements, %d failed", statements, failed)
	execute(t, ours, "PRAGMA litestream_sync")
	copied := filepath.Join(t.TempDir(), "restored.db")
	tracker, err := index.Open(t.Context(), store, index.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := restore.File(t.Context(), bulk.Source{Store: store, Mover: tracker}, tracker.View(), copied, restore.Options{}); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	plain.Close()
	samePages(t, copied, path, pageSize)
}

// lookAtSchema makes SQLite notice that the schema has changed, which the driver does not when columns are added to a statement that is under way.
const lookAtSchema = "SELECT count(*) FROM sqlite_schema"

// checkFollower compares a reader with the writer: now, and as of some earlier transaction with itself, which it reads twice.
func checkFollower(t *testing.T, ours, follower *sql.Conn, g *sqlgen.Generator) {
	t.Helper()
	execute(t, ours, "PRAGMA litestream_sync")
	head := value(t, ours, "PRAGMA litestream_durable_txid")
	execute(t, follower, "PRAGMA litestream_wait_txid = '"+head+"'", "PRAGMA shrink_memory", lookAtSchema)
	queries := []string{g.Query(), g.Query(), g.Query()}
	for _, q := range queries {
		if got, want := answer(follower, q), answer(ours, q); got != want {
			t.Fatalf("at txid %s, %.300s:\n%.1000s\nand the writer reads:\n%.1000s\nbecause of %v", head, q, got, want, litefss3.Cause(follower, "main"))
		}
	}
	txid, err := strconv.ParseUint(head, 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	execute(t, follower, fmt.Sprintf("PRAGMA litestream_txid = '%016x'", 1+txid/2), lookAtSchema)
	for _, q := range queries {
		if first, second := answer(follower, q), answer(follower, q); first != second {
			t.Fatalf("at txid %d of %d, %.300s gives %.1000s, and then %.1000s", 1+txid/2, txid, q, first, second)
		}
	}
	execute(t, follower, "PRAGMA litestream_txid = latest")
}

// only is the one connection of a pool that a test needs.
func only(t *testing.T, db *sql.DB) *sql.Conn {
	t.Helper()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// answer is all that a statement gives: its columns and rows, or its error.
func answer(conn *sql.Conn, q string) string {
	if isAbout(q, "journal", "wal_checkpoint") {
		return ""
	}
	rows, err := conn.QueryContext(context.Background(), q)
	if err != nil {
		return err.Error()
	}
	defer rows.Close()
	var out bytes.Buffer
	columns, err := rows.Columns()
	fmt.Fprintln(&out, columns, err)
	values := make([]any, len(columns))
	places := make([]any, len(columns))
	for i := range values {
		places[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(places...); err != nil {
			return err.Error()
		}
		for _, v := range values {
			fmt.Fprintf(&out, "%T %v|", v, v)
		}
		out.WriteByte('\n')
	}
	fmt.Fprintln(&out, rows.Err())
	return out.String()
}

func isAbout(q string, words ...string) bool {
	for _, w := range words {
		if bytes.Contains([]byte(q), []byte(w)) {
			return true
		}
	}
	return false
}

// freePages are the leaves of the free list: SQLite neither writes nor takes back what is in them, so it is what chance has left.
func freePages(file []byte, pageSize int) map[uint32]bool {
	free := make(map[uint32]bool)
	for trunk := binary.BigEndian.Uint32(file[32:]); trunk != 0; {
		page := file[int(trunk-1)*pageSize:][:pageSize]
		for i := range binary.BigEndian.Uint32(page[4:]) {
			free[binary.BigEndian.Uint32(page[8+4*i:])] = true
		}
		trunk = binary.BigEndian.Uint32(page)
	}
	return free
}

// samePages compares two database files, but for free pages and what counts transactions in page 1.
func samePages(t *testing.T, a, b string, pageSize int) {
	t.Helper()
	x, err := os.ReadFile(a)
	if err != nil {
		t.Fatal(err)
	}
	y, err := os.ReadFile(b)
	if err != nil {
		t.Fatal(err)
	}
	pages := int(binary.BigEndian.Uint32(y[28:])) // SQLite may leave more in a plain file, which is none of the database
	if len(x) != pages*pageSize || len(y) < len(x) {
		t.Fatalf("%d pages; on a plain file %d, of which page 1 says %d", len(x)/pageSize, len(y)/pageSize, pages)
	}
	y = y[:len(x)]
	for _, file := range [][]byte{x, y} {
		clear(file[18:20]) // journal or WAL
		clear(file[24:28]) // change counter
		clear(file[92:96]) // the change counter for which the version is valid
	}
	free := freePages(y, pageSize)
	for off := 0; off < len(x); off += pageSize {
		if !free[uint32(off/pageSize+1)] && !bytes.Equal(x[off:off+pageSize], y[off:off+pageSize]) {
			t.Errorf("page %d differs", off/pageSize+1)
		}
	}
}
