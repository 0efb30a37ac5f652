package guard_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/driver"

	"github.com/litefs-s3/litefs-s3/guard"
)

// lethal are statements that kill a program which trusts its driver.
var lethal = map[string]string{
	"a value of 200 MB": "select length(hex(zeroblob(100000000)))",
	"many values":       "SELECT " + strings.TrimSuffix(strings.Repeat("hex(zeroblob(23000000)), ", 10), ", "),
	"a sort in memory": "WITH RECURSIVE c(n) AS (VALUES(1) UNION ALL SELECT n+1 FROM c LIMIT 5000) " +
		"SELECT count(*) FROM (SELECT randomblob(100000) AS x FROM c ORDER BY x LIMIT 4000)",
}

// loose lets all of it reach the end of the memory.
var loose = guard.Limits{Memory: 64 << 20, Length: 1 << 30}

func conn(t *testing.T, l guard.Limits) *sqlite3.Conn {
	t.Helper()
	db, err := guard.Open(t.Context(), ":memory:", l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := guard.Close(db); err != nil {
			t.Error(err)
		}
	})
	if err := db.Exec("PRAGMA temp_store = memory; CREATE TABLE t(x); INSERT INTO t VALUES (1)"); err != nil {
		t.Fatal(err)
	}
	return db
}

// run runs a statement to its end.
func run(db *sqlite3.Conn, sql string) error {
	stmt, _, err := guard.Prepare(db, sql)
	if err != nil {
		return err
	}
	for {
		row, err := guard.Step(stmt)
		if err != nil {
			guard.Finalize(stmt) //nolint:errcheck // the same once more
			return err
		}
		if !row {
			return guard.Finalize(stmt)
		}
	}
}

func TestMemory(t *testing.T) {
	t.Parallel()
	for name, sql := range lethal {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := conn(t, loose)
			for range 2 {
				if err := run(db, sql); !errors.Is(err, guard.ErrMemory) {
					t.Errorf("got %v, want ErrMemory", err)
				}
				if err := run(db, "SELECT * FROM t"); err != nil {
					t.Errorf("afterwards: %v", err)
				}
			}
		})
	}
}

// TestMemory_LeftOpen: a statement that a panic has left does not keep its connection open.
func TestMemory_LeftOpen(t *testing.T) {
	t.Parallel()
	db := conn(t, loose)
	stmt, _, err := guard.Prepare(db, lethal["many values"])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := guard.Step(stmt); !errors.Is(err, guard.ErrMemory) {
		t.Errorf("got %v, want ErrMemory", err)
	}
} // conn's cleanup closes it

func TestDo_OtherPanicsGoOn(t *testing.T) {
	t.Parallel()
	defer func() {
		if p := recover(); p != "something else" {
			t.Errorf("recovered %v", p)
		}
	}()
	guard.Do(func() error { panic("something else") }) //nolint:errcheck // it does not return
}

func TestLimits(t *testing.T) {
	t.Parallel()
	db := conn(t, guard.Limits{})
	for name, sql := range map[string]string{
		"a long value":   lethal["a value of 200 MB"],
		"columns":        "SELECT 1" + strings.Repeat(", 1", 200),
		"a long UNION":   "SELECT 1" + strings.Repeat(" UNION SELECT 1", 50),
		"nesting":        "SELECT 1" + strings.Repeat("+1", 300),
		"arguments":      "SELECT max(1" + strings.Repeat(", 1", 100) + ")",
		"a long pattern": "SELECT 'x' LIKE '" + strings.Repeat("%x", 251) + "'",
		"attached":       "ATTACH ':memory:' AS m",
		"a long text":    "SELECT '" + strings.Repeat("x", 1<<20) + "'",
	} {
		if err := run(db, sql); err == nil || errors.Is(err, guard.ErrMemory) {
			t.Errorf("%s: got %v, want an error of SQLite's", name, err)
		}
	}
	if err := run(db, "SELECT * FROM t"); err != nil {
		t.Error(err)
	}
}

func TestReadOnly(t *testing.T) {
	t.Parallel()
	db := conn(t, guard.Limits{Attached: 1})
	if err := db.SetAuthorizer(guard.ReadOnly); err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{
		"INSERT INTO t VALUES (2)", "DELETE FROM t", "UPDATE t SET x = 2", "CREATE TABLE u(x)", "CREATE TEMP TABLE u(x)", "DROP TABLE t",
		"ATTACH ':memory:' AS m", "PRAGMA user_version = 2", "PRAGMA journal_mode", "BEGIN", "VACUUM", "ANALYZE", "SAVEPOINT s",
	} {
		if err := run(db, sql); !errors.Is(err, sqlite3.AUTH) {
			t.Errorf("%s: got %v, want AUTH", sql, err)
		}
	}
	for _, sql := range []string{
		"SELECT * FROM t", "PRAGMA table_info(t)", "PRAGMA user_version", "SELECT * FROM pragma_table_info('t')",
		"WITH RECURSIVE c(n) AS (VALUES(1) UNION ALL SELECT n+1 FROM c LIMIT 3) SELECT * FROM c", "EXPLAIN SELECT * FROM t",
	} {
		if err := run(db, sql); err != nil {
			t.Errorf("%s: %v", sql, err)
		}
	}
}

// TestConnector: the same below database/sql.
func TestConnector(t *testing.T) {
	t.Parallel()
	c, err := new(driver.SQLite).OpenConnector("file:guard?mode=memory&_pragma=temp_store(memory)")
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(guard.Connector(c, loose, guard.ReadOnly))
	defer db.Close()
	db.SetMaxOpenConns(1)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for name, query := range lethal {
		var ignored any
		if err := db.QueryRowContext(ctx, query).Scan(&ignored); !errors.Is(err, guard.ErrMemory) {
			t.Errorf("%s: got %v, want ErrMemory", name, err)
		}
		if _, err := db.ExecContext(ctx, query); !errors.Is(err, guard.ErrMemory) {
			t.Errorf("%s, executed: got %v, want ErrMemory", name, err)
		}
		if _, err := db.ExecContext(ctx, query+" WHERE ?", 1); name != "a sort in memory" && !errors.Is(err, guard.ErrMemory) {
			t.Errorf("%s, with an argument: got %v, want ErrMemory", name, err)
		}
		var seven int
		if err := db.QueryRowContext(ctx, "SELECT ?", 7).Scan(&seven); err != nil || seven != 7 {
			t.Errorf("afterwards: %d and %v", seven, err)
		}
	}
	if _, err := db.ExecContext(ctx, "CREATE TABLE x(y)"); !errors.Is(err, sqlite3.AUTH) {
		t.Errorf("a write: got %v, want AUTH", err)
	}
	if open := db.Stats().OpenConnections; open != 1 {
		t.Errorf("%d connections are open, want 1", open)
	}
}
