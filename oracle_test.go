package litefss3_test

import (
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/integration/primary"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/faultstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

// randomStatement changes t or u, by chance so that it fails, or leaves holes, or shrinks the file.
func randomStatement(rng *rand.Rand) string {
	id := func() int { return 1 + rng.IntN(60) }
	blob := func(n int) string { return fmt.Sprintf("x'%s'", strings.Repeat(fmt.Sprintf("%02x", rng.IntN(256)), n)) }
	switch rng.IntN(16) {
	case 0, 1, 2:
		return fmt.Sprintf("INSERT OR REPLACE INTO t VALUES (%d, %s, %d)", id(), blob(rng.IntN(300)), rng.IntN(9))
	case 3:
		return fmt.Sprintf("INSERT INTO t VALUES (%d, %s, 1)", id(), blob(20)) // fails when the row is there
	case 4:
		return fmt.Sprintf("INSERT OR REPLACE INTO t VALUES (%d, %s, %d)", id(), blob(3000+rng.IntN(9000)), rng.IntN(9))
	case 5, 6:
		return fmt.Sprintf("UPDATE t SET n = n + 1, x = x || %s WHERE id %% 7 = %d", blob(10), rng.IntN(7))
	case 7:
		return fmt.Sprintf("DELETE FROM t WHERE id > %d", 40+rng.IntN(20))
	case 8:
		return fmt.Sprintf("INSERT INTO u SELECT n, count(*), max(length(x)) FROM t GROUP BY n HAVING n < %d", rng.IntN(9))
	case 9:
		return fmt.Sprintf("DELETE FROM u WHERE rowid %% 3 = %d", rng.IntN(3))
	case 10:
		return "PRAGMA incremental_vacuum"
	case 11:
		return fmt.Sprintf("UPDATE t SET id = id + %d", rng.IntN(3)) // may fail in the middle
	case 12:
		return fmt.Sprintf("CREATE INDEX IF NOT EXISTS i%d ON t(n, id)", rng.IntN(2))
	case 13:
		return fmt.Sprintf("DROP INDEX IF EXISTS i%d", rng.IntN(2))
	case 14:
		return "INSERT INTO u SELECT value, 1, 2 FROM json_each('[1,2,3,4,5,6,7,8]'); DELETE FROM u WHERE b = 1 AND c = 2"
	}
	return fmt.Sprintf("REPLACE INTO t SELECT id + 30, x, n FROM t WHERE id < %d", rng.IntN(30))
}

// randomBatch is one or several statements, in a transaction or not, that is committed or rolled back.
func randomBatch(rng *rand.Rand) []string {
	if rng.IntN(40) == 0 {
		return []string{"VACUUM"}
	}
	batch := []string{randomStatement(rng)}
	if rng.IntN(2) == 0 {
		return batch
	}
	batch = append([]string{"BEGIN"}, batch...)
	for range rng.IntN(4) {
		switch rng.IntN(4) {
		case 0:
			batch = append(batch, "SAVEPOINT s", randomStatement(rng), []string{"ROLLBACK TO s", "RELEASE s"}[rng.IntN(2)], "RELEASE s")
		default:
			batch = append(batch, randomStatement(rng))
		}
	}
	return append(batch, []string{"COMMIT", "COMMIT", "ROLLBACK"}[rng.IntN(3)])
}

// TestW12_RandomBatches runs 2,000 random batches here and on a plain file, with tiny caches, polls and uploads at any moment, and listings
// that are late: results, errors and rows are the same on the connection, on another one, and for a fresh follower.
func TestW12_RandomBatches(t *testing.T) {
	t.Parallel()
	for round := range scaled(20, 4) {
		t.Run(fmt.Sprint("round=", round), func(t *testing.T) {
			t.Parallel()
			randomBatches(t, rand.New(rand.NewPCG(uint64(round), 12)), 100)
		})
	}
}

func randomBatches(t *testing.T, rng *rand.Rand, batches int) {
	mem := new(memstore.Store)
	var store objstore.Store = mem
	if rng.IntN(2) == 0 {
		store = faultstore.ListLate(mem, 30*time.Millisecond)
	}
	db := open(t, store, writing(t), func(c *litefss3.Config) {
		c.SyncInterval = []time.Duration{time.Millisecond, 10 * time.Millisecond, time.Hour}[rng.IntN(3)]
		c.PollInterval = []time.Duration{time.Millisecond, 50 * time.Millisecond, -1}[rng.IntN(3)]
		c.MaxPrefetchPages = -1
		c.ReplicaURL += fmt.Sprint(rng.Uint64())
	})
	one, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer one.Close()
	other, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	plain, err := sql.Open("sqlite3", "file:"+filepath.Join(t.TempDir(), "plain.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	plain.SetMaxOpenConns(1)
	size := 512 << rng.IntN(4)
	for _, q := range []string{
		fmt.Sprintf("PRAGMA page_size = %d", size), "PRAGMA auto_vacuum = " + []string{"none", "full", "incremental"}[rng.IntN(3)],
		fmt.Sprintf("PRAGMA cache_size = %d", 2+rng.IntN(8)),
		"CREATE TABLE t(id INTEGER PRIMARY KEY, x BLOB, n INTEGER)", "CREATE TABLE u(a, b, c)",
	} {
		execute(t, one, q)
		execute(t, plain, q)
	}
	for n := range batches {
		batch := randomBatch(rng)
		for _, q := range batch {
			_, want := plain.ExecContext(t.Context(), q)
			_, got := one.ExecContext(t.Context(), q)
			if !sameError(want, got) {
				t.Fatalf("batch %d, %s: %v, and on a plain file %v; because of %v", n, q, got, want, litefss3.Cause(one, "main"))
			}
		}
		want := primary.Dump(t, plain)
		if primary.Dump(t, one) != want {
			t.Fatalf("batch %d, %q: the connection reads something else than a plain file", n, batch)
		}
		if primary.Dump(t, other) != want {
			t.Fatalf("batch %d, %q: another connection reads something else", n, batch)
		}
		if n%5 == 4 || n == batches-1 {
			execute(t, one, "PRAGMA litestream_sync")
			if primary.Dump(t, one) != want {
				t.Fatalf("batch %d, %q: the connection reads something else after the upload", n, batch)
			}
			follower := open(t, mem, func(c *litefss3.Config) { c.ReplicaURL += fmt.Sprint("-", rng.Uint64()) })
			if primary.Dump(t, follower) != want {
				t.Fatalf("batch %d, %q: a fresh follower reads something else", n, batch)
			}
			follower.Close()
		}
	}
	if got := value(t, one, "PRAGMA integrity_check"); got != "ok" {
		t.Errorf("integrity_check: %s", got)
	}
}

// sameError reports whether two statements ended the same way.
func sameError(a, b error) bool {
	var x, y *sqlite3.Error
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return errors.As(a, &x) && errors.As(b, &y) && x.ExtendedCode() == y.ExtendedCode()
}
