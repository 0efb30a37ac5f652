package sandbox_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/litefs-s3/litefs-s3/sandbox"
)

// endless is a table of all numbers.
const endless = "WITH RECURSIVE c(n) AS (VALUES(1) UNION ALL SELECT n+1 FROM c) "

// alive fails unless the sandbox goes on to answer.
func alive(t *testing.T, sb *sandbox.Sandbox) {
	t.Helper()
	if got := one(t, sb, "SELECT 6*7"); got != int64(42) {
		t.Errorf("afterwards 6*7 is %v", got)
	}
	if got := one(t, sb, "SELECT count(*) > 3000 FROM posts"); got != int64(1) {
		t.Errorf("afterwards the replica says %v", got)
	}
}

// TestMemory: whatever wants more memory than there is ends as an error, and nothing else ends.
func TestMemory(t *testing.T) {
	t.Parallel()
	patient := sandbox.Limits{Memory: 48 << 20, Time: -1}
	for name, c := range map[string]struct {
		sql  string
		want error
	}{
		"a value of 200 MB": {"SELECT length(hex(zeroblob(100000000)))", sandbox.ErrSQL}, // too big, SQLite says
		"many values":       {"SELECT " + strings.Repeat("hex(zeroblob(600000)), ", 40) + "1", sandbox.ErrMemory},
		"a recursion that keeps what it has seen": {
			"WITH RECURSIVE c(n, x) AS (VALUES(1, '') UNION SELECT n+1, hex(zeroblob(20000))||n FROM c) SELECT max(n) FROM c", sandbox.ErrMemory,
		},
		"a huge sort":           {endless + "SELECT n FROM c LIMIT (SELECT count(*) FROM (SELECT randomblob(20000) AS x FROM posts, posts ORDER BY x))", sandbox.ErrMemory},
		"distinct values":       {"SELECT count(*) FROM (SELECT DISTINCT hex(zeroblob(10000))||a.id||b.id FROM posts a, posts b)", sandbox.ErrMemory},
		"a concatenation":       {"SELECT length(group_concat(hex(zeroblob(50000)))) FROM posts", sandbox.ErrSQL},
		"groups":                {"SELECT count(*) FROM (SELECT group_concat(hex(zeroblob(5000))) FROM posts a, posts b GROUP BY b.id||a.id)", sandbox.ErrMemory},
		"a json of many values": {"SELECT length(json_group_array(hex(zeroblob(50000)))) FROM posts", sandbox.ErrMemory},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sb := open(t, sandbox.Options{Limits: patient})
			if rows, err := all(t.Context(), sb, c.sql); !errors.Is(err, c.want) {
				t.Errorf("got %v and %v, want %v", rows, err, c.want)
			}
			alive(t, sb)
		})
	}
}

// TestMemory_HardCap: when SQLite does not keep to its share, the module runs against the end of its memory, and dies alone.
func TestMemory_HardCap(t *testing.T) {
	t.Parallel()
	sb := open(t, sandbox.Options{Limits: sandbox.Limits{Memory: 48 << 20, Time: -1}}.WithSQL(1<<30))
	for range 2 {
		_, err := all(t.Context(), sb, "SELECT hex(zeroblob(20000000)), hex(zeroblob(20000000))")
		if !errors.Is(err, sandbox.ErrMemory) {
			t.Errorf("got %v, want ErrMemory", err)
		}
		alive(t, sb)
	}
}

// TestTime: what takes too long ends, whether SQLite looks at the clock meanwhile or not.
func TestTime(t *testing.T) {
	t.Parallel()
	for name, sql := range map[string]string{
		"an endless recursion": endless + "SELECT max(n) FROM c",
		"a join":               "SELECT count(*) FROM posts a, posts b, posts c WHERE a.body < b.body AND b.body < c.body",
		"one long call":        "SELECT instr(zeroblob(2000000), zeroblob(900000)||x'01')",
		"LIKE":                 endless + "SELECT count(*) FROM c WHERE hex(zeroblob(200000+n)) LIKE '%0%0%0%0%0%0%0%0%0%0%0%0%0%0%0%0%1'",
		"GLOB":                 "SELECT replace(hex(zeroblob(500000)), '0', 'ab') GLOB '*a*b*a*b*a*b*a*b*a*b*a*b*a*b*c*' AND instr(zeroblob(2000000), zeroblob(900000)||x'01')",
		"a long sort":          "SELECT a.id FROM posts a, posts b, posts c ORDER BY c.body||b.body||a.body LIMIT 1",
		"a join with an endless table": "SELECT count(*) FROM posts JOIN (" + endless +
			"SELECT n FROM c) ON n < 0",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sb := open(t, sandbox.Options{Limits: sandbox.Limits{Memory: 256 << 20, Time: time.Second}})
			if rows, err := all(t.Context(), sb, sql); !errors.Is(err, sandbox.ErrTime) {
				t.Errorf("got %v and %v, want ErrTime", rows, err)
			}
			alive(t, sb)
		})
	}
}

// TestTime_OfTheModuleOnly: somebody who takes long to read rows uses up nothing.
func TestTime_OfTheModuleOnly(t *testing.T) {
	t.Parallel()
	sb := open(t, sandbox.Options{Limits: sandbox.Limits{Time: 3 * time.Second, Rows: -1, Bytes: -1}})
	rows, err := sb.Query(t.Context(), endless+"SELECT n, hex(zeroblob(1000)) FROM c LIMIT 200")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	n := 0
	for rows.Next() {
		if n++; n == 1 {
			time.Sleep(3500 * time.Millisecond) // more than there is
		}
	}
	if rows.Err() != nil || n != 200 {
		t.Errorf("%d rows and %v, want 200", n, rows.Err())
	}
}

// TestContext: a context that ends is the end of the statement, and not of the sandbox.
func TestContext(t *testing.T) {
	t.Parallel()
	for name, sql := range map[string]string{
		"while SQLite looks": endless + "SELECT max(n) FROM c",
		"while it does not":  "SELECT instr(zeroblob(2000000), zeroblob(900000)||x'01')",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sb := open(t, sandbox.Options{Limits: sandbox.Limits{Time: -1}})
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(100*time.Millisecond, cancel)
			if _, err := all(ctx, sb, sql); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want context.Canceled", err)
			}
			alive(t, sb)
		})
	}
}

// TestHost_GoesOn: while the module is in one long call, the process collects its garbage. It waits for all machine code to come back, and
// everything else in the process for it.
func TestHost_GoesOn(t *testing.T) {
	t.Parallel()
	sb := open(t, sandbox.Options{Limits: sandbox.Limits{Time: -1}})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := all(ctx, sb, "SELECT instr(zeroblob(2000000), zeroblob(900000)||x'01')")
		ended <- err
	}()
	time.Sleep(200 * time.Millisecond) // it runs now, as a rule
	for range 5 {
		runtime.GC()
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	alive(t, sb)
}

// TestResult: rows come up to the limit, and then the error.
func TestResult(t *testing.T) {
	t.Parallel()
	sb := open(t, sandbox.Options{Limits: sandbox.Limits{Rows: 100, Bytes: 50_000, Time: -1}})
	for _, c := range []struct {
		sql  string
		rows int
		want error
	}{
		{endless + "SELECT n FROM c LIMIT 100", 100, nil},
		{endless + "SELECT n FROM c LIMIT 101", 100, sandbox.ErrRows},
		{endless + "SELECT n FROM c", 100, sandbox.ErrRows},
		{endless + "SELECT hex(zeroblob(2493)) FROM c LIMIT 10", 10, nil}, // 4986 bytes, and 5 for what it is and how long
		{endless + "SELECT hex(zeroblob(2493)) FROM c LIMIT 11", 10, sandbox.ErrBytes},
		{endless + "SELECT hex(zeroblob(2493)) FROM c", 10, sandbox.ErrBytes},
		{"SELECT hex(zeroblob(30000))", 0, sandbox.ErrBytes},
	} {
		rows, err := all(t.Context(), sb, c.sql)
		if len(rows) != c.rows || !errors.Is(err, c.want) {
			t.Errorf("%s: %d rows and %v, want %d and %v", c.sql, len(rows), err, c.rows, c.want)
		}
		if got := one(t, sb, "SELECT 1"); got != int64(1) {
			t.Errorf("afterwards 1 is %v", got)
		}
	}
}

// TestFetch: a statement that wants to read more of the store than it may ends, and one that needs less goes on.
func TestFetch(t *testing.T) {
	t.Parallel()
	sb := open(t, sandbox.Options{Limits: sandbox.Limits{Fetch: 1 << 20, Time: -1}})
	if _, err := all(t.Context(), sb, "SELECT sum(length(body)) FROM posts"); !errors.Is(err, sandbox.ErrFetch) {
		t.Errorf("a scan of 2 MB: got %v, want ErrFetch", err)
	}
	if got := one(t, sb, "SELECT count(*) FROM users WHERE id = 7"); got != int64(1) {
		t.Errorf("a lookup: got %v", got)
	}
}

// TestDenied: nothing but reading is possible.
func TestDenied(t *testing.T) {
	t.Parallel()
	sb := open(t, sandbox.Options{})
	for _, sql := range []string{
		"ATTACH '/etc/passwd' AS p", "ATTACH 'file:x?vfs=memdb' AS m", "ATTACH ':memory:' AS m", "DETACH main",
		"VACUUM INTO '/tmp/stolen.db'", "VACUUM",
		"CREATE TABLE x(a)", "CREATE TEMP TABLE x(a)", "CREATE VIEW x AS SELECT 1", "CREATE VIRTUAL TABLE x USING fts5(a)",
		"CREATE TRIGGER x AFTER INSERT ON posts BEGIN SELECT 1; END", "CREATE INDEX x ON posts(body)",
		"INSERT INTO users SELECT * FROM users", "DELETE FROM posts", "UPDATE posts SET body = ''", "DROP TABLE posts", "ALTER TABLE posts RENAME TO x",
		"BEGIN IMMEDIATE", "BEGIN", "SAVEPOINT x", "REINDEX", "ANALYZE",
		"PRAGMA journal_mode = wal", "PRAGMA writable_schema = on", "PRAGMA user_version = 7", "PRAGMA temp_store_directory = '/tmp'",
		"PRAGMA cache_size = 1000000", "PRAGMA mmap_size = 1000000000", "PRAGMA trusted_schema = on", "PRAGMA wal_checkpoint", "PRAGMA integrity_check",
		"PRAGMA litestream_write_enabled = 1", "PRAGMA litestream_time = 'yesterday'", "PRAGMA litestream_status", "PRAGMA hard_heap_limit = 1",
	} {
		if rows, err := all(t.Context(), sb, sql); !errors.Is(err, sandbox.ErrDenied) {
			t.Errorf("%s: got %v and %v, want ErrDenied", sql, rows, err)
		}
	}
	for _, sql := range []string{
		"SELECT load_extension('/tmp/x.so')", "SELECT readfile('/etc/passwd')", "SELECT writefile('/tmp/x', 'x')", "SELECT edit('x')",
		"SELECT fts3_tokenizer('simple')", "SELECT * FROM fsdir('/')",
		"SELECT * FROM pragma_cache_size(1000000)",
	} {
		if rows, err := all(t.Context(), sb, sql); !errors.Is(err, sandbox.ErrDenied) && !errors.Is(err, sandbox.ErrSQL) {
			t.Errorf("%s: got %v and %v, want ErrDenied or ErrSQL", sql, rows, err)
		}
	}
	for _, sql := range []string{
		"PRAGMA table_info(posts)", "SELECT * FROM pragma_table_info('posts')", "SELECT sql FROM sqlite_schema", "EXPLAIN QUERY PLAN SELECT * FROM posts",
		"PRAGMA litestream_txid", "PRAGMA user_version", "SELECT value FROM json_each('[1,2]')",
	} {
		if rows, err := all(t.Context(), sb, sql); err != nil || len(rows) == 0 {
			t.Errorf("%s: got %v and %v, want rows", sql, rows, err)
		}
	}
	alive(t, sb)
}
