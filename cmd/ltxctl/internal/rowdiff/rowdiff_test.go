package rowdiff_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/rowdiff"
	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/sqlrun"
)

// two attaches two databases made by SQL, before as past and after as main. What is to be the same in both comes first.
func two(t *testing.T, common, before, after string) *rowdiff.Diff {
	t.Helper()
	dir := t.TempDir()
	for name, sql := range map[string]string{"past.db": before, "main.db": after} {
		conn, err := sqlrun.Open(t.Context(), filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.Run(t.Context(), common+";"+sql, nil, nil); err != nil {
			t.Fatal(err)
		}
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
	}
	conn, err := sqlrun.Open(t.Context(), filepath.Join(dir, "main.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.Run(t.Context(), "ATTACH '"+filepath.Join(dir, "past.db")+"' AS past", nil, nil); err != nil {
		t.Fatal(err)
	}
	return &rowdiff.Diff{Conn: conn, Earlier: "past", Later: "main", Limit: 10}
}

// all compares all tables.
func all(t *testing.T, d *rowdiff.Diff) (*rowdiff.Schema, map[string]*rowdiff.Table) {
	t.Helper()
	schema, err := d.Schema(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tables := map[string]*rowdiff.Table{}
	for _, pair := range schema.Both {
		if tables[pair.Name], err = d.Table(t.Context(), pair); err != nil {
			t.Fatal(err)
		}
	}
	return schema, tables
}

func TestTable(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		common, before, after string
		want                  string // as JSON, without the name
	}{
		"integer primary key": {
			"CREATE TABLE t(id INTEGER PRIMARY KEY, a, b); INSERT INTO t VALUES (1,'x',1), (2,'y',2), (3,'z',3)",
			"", "DELETE FROM t WHERE id = 1; UPDATE t SET b = 22 WHERE id = 2; INSERT INTO t VALUES (4, NULL, x'00ff')",
			`{"key":["id"],"added":1,"removed":1,"changed":1,"rows":[` +
				`{"change":"removed","key":{"id":1},"before":{"a":"x","b":1}},` +
				`{"change":"added","key":{"id":4},"after":{"a":null,"b":"AP8="}},` +
				`{"change":"changed","key":{"id":2},"before":{"b":2},"after":{"b":22}}]}`,
		},
		"rowid": {
			"CREATE TABLE t(a); INSERT INTO t VALUES (1), (1), (2)", "", "UPDATE t SET a = 3 WHERE rowid = 2",
			`{"key":["rowid"],"added":0,"removed":0,"changed":1,"rows":[{"change":"changed","key":{"rowid":2},"before":{"a":1},"after":{"a":3}}]}`,
		},
		"a column called rowid": {
			`CREATE TABLE t(rowid TEXT, "a b"); INSERT INTO t VALUES ('x', 1)`, "", `UPDATE t SET "a b" = 2`,
			`{"key":["_rowid_"],"added":0,"removed":0,"changed":1,"rows":[{"change":"changed","key":{"_rowid_":1},"before":{"a b":1},"after":{"a b":2}}]}`,
		},
		"without rowid": {
			"CREATE TABLE t(a, b, c, PRIMARY KEY (b, a)) WITHOUT ROWID; INSERT INTO t VALUES (1,1,1), (1,2,1)",
			"", "UPDATE t SET c = 2 WHERE b = 2; INSERT INTO t VALUES (2,1,0)",
			`{"key":["b","a"],"added":1,"removed":0,"changed":1,"rows":[{"change":"added","key":{"b":1,"a":2},"after":{"c":0}},` +
				`{"change":"changed","key":{"b":2,"a":1},"before":{"c":1},"after":{"c":2}}]}`,
		},
		"nothing but a key": {
			"CREATE TABLE t(a PRIMARY KEY) WITHOUT ROWID; INSERT INTO t VALUES (1)", "", "INSERT INTO t VALUES (2)",
			`{"key":["a"],"added":1,"removed":0,"changed":0,"rows":[{"change":"added","key":{"a":2}}]}`,
		},
		"null in a primary key": {
			"CREATE TABLE t(a TEXT PRIMARY KEY, b); INSERT INTO t VALUES (NULL, 1), (NULL, 2), ('x', 3)", "", "UPDATE t SET b = 9 WHERE b = 2",
			`{"key":["rowid"],"added":0,"removed":0,"changed":1,"rows":[{"change":"changed","key":{"rowid":2},"before":{"b":2},"after":{"b":9}}]}`,
		},
		"text primary key survives new rowids": {
			"CREATE TABLE t(a TEXT PRIMARY KEY, b)", "INSERT INTO t VALUES ('x', 1), ('y', 2)", "INSERT INTO t VALUES ('y', 2), ('x', 1)",
			`{"key":["a"],"added":0,"removed":0,"changed":0,"rows":[]}`,
		},
		"exact": {
			"CREATE TABLE t(id INTEGER PRIMARY KEY, a, b TEXT COLLATE NOCASE)",
			"INSERT INTO t VALUES (1, 1, 'a'), (2, 1, 'b'), (3, NULL, NULL)", "INSERT INTO t VALUES (1, 1.0, 'a'), (2, 1, 'B'), (3, NULL, NULL)",
			`{"key":["id"],"added":0,"removed":0,"changed":2,"rows":[{"change":"changed","key":{"id":1},"before":{"a":1},"after":{"a":1.0}},` +
				`{"change":"changed","key":{"id":2},"before":{"b":"b"},"after":{"b":"B"}}]}`,
		},
		"column added": {
			"CREATE TABLE t(id INTEGER PRIMARY KEY, a); INSERT INTO t VALUES (1, 1)", "", "ALTER TABLE t ADD COLUMN c DEFAULT 7; UPDATE t SET a = 2",
			`{"key":["id"],"added":0,"removed":0,"changed":1,"rows":[{"change":"changed","key":{"id":1},"before":{"a":1},"after":{"a":2}}],` +
				`"note":"it has other columns than before: only those of both moments were compared"}`,
		},
		"generated": {
			"CREATE TABLE t(id INTEGER PRIMARY KEY, a, v AS (a+1), s AS (a+2) STORED); INSERT INTO t(id, a) VALUES (1, 1)", "", "UPDATE t SET a = 2",
			`{"key":["id"],"added":0,"removed":0,"changed":1,"rows":[{"change":"changed","key":{"id":1},"before":{"a":1,"s":3},"after":{"a":2,"s":4}}]}`,
		},
		"another key": {
			"", "CREATE TABLE t(a, b, PRIMARY KEY (a)) WITHOUT ROWID", "CREATE TABLE t(a, b, PRIMARY KEY (b)) WITHOUT ROWID",
			`{"added":0,"removed":0,"changed":0,"rows":[],"note":"its primary key is another one than before: rows cannot be matched"}`,
		},
		"virtual": {
			"PRAGMA writable_schema=ON; INSERT INTO sqlite_schema VALUES ('table', 't', 't', 0, 'CREATE VIRTUAL TABLE t USING fts5(x)')", "", "",
			`{"added":0,"removed":0,"changed":0,"rows":[],"note":"a virtual table: its content lies in tables of its own"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, tables := all(t, two(t, c.common, c.before, c.after))
			got, err := json.Marshal(tables["t"])
			if err != nil {
				t.Fatal(err)
			}
			if text := strings.Replace(string(got), `"table":"t",`, "", 1); text != c.want {
				t.Errorf("got\n%s\nwant\n%s", text, c.want)
			}
		})
	}
}

func TestSchema(t *testing.T) {
	t.Parallel()
	d := two(t, "CREATE TABLE stays(x); CREATE TABLE changes(x); CREATE TABLE a_goes(x)",
		"CREATE VIEW v AS SELECT 1; CREATE INDEX i ON a_goes(x)",
		"DROP TABLE a_goes; ALTER TABLE changes ADD COLUMN y; CREATE TABLE comes(x INTEGER PRIMARY KEY AUTOINCREMENT); CREATE TRIGGER tr AFTER INSERT ON stays BEGIN SELECT 1; END")
	schema, _ := all(t, d)
	var got []string
	for mark, list := range map[string][]rowdiff.Object{"+": schema.Added, "-": schema.Removed, "~": schema.Changed} {
		for _, o := range list {
			got = append(got, mark+o.Type+" "+o.Name)
		}
	}
	want := map[string]bool{"+table comes": true, "+trigger tr": true, "-table a_goes": true, "-index i": true, "-view v": true, "~table changes": true}
	for _, g := range got {
		if !want[g] {
			t.Errorf("%s is too much", g)
		}
		delete(want, g)
	}
	if len(want) > 0 || len(schema.Both) != 2 || schema.Both[0].Name != "changes" {
		t.Errorf("missing %v; both %+v", want, schema.Both)
	}
}

func TestTable_CountsAll(t *testing.T) {
	t.Parallel()
	d := two(t, "CREATE TABLE t(id INTEGER PRIMARY KEY, x)", "", "INSERT INTO t WITH RECURSIVE c(n) AS (VALUES(1) UNION ALL SELECT n+1 FROM c LIMIT 1000) SELECT n, n FROM c")
	d.Limit = 3
	_, tables := all(t, d)
	if got := tables["t"]; got.Added != 1000 || len(got.Rows) != 3 {
		t.Errorf("%d rows, %d kept", got.Added, len(got.Rows))
	}
}

// TestTable_Random compares with plain maps.
func TestTable_Random(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	for _, table := range []string{
		"CREATE TABLE t(k INTEGER PRIMARY KEY, v)", "CREATE TABLE t(k TEXT PRIMARY KEY, v)", "CREATE TABLE t(k INT PRIMARY KEY, v) WITHOUT ROWID",
	} {
		model := [2]map[int]int{{}, {}}
		var sql [2]strings.Builder
		for side := range 2 {
			for range 300 {
				k, v := rng.IntN(200), rng.IntN(3)
				if _, ok := model[side][k]; ok {
					continue
				}
				model[side][k] = v
				fmt.Fprintf(&sql[side], "INSERT INTO t VALUES (%d, %d);", k, v)
			}
		}
		d := two(t, table, sql[0].String(), sql[1].String())
		_, tables := all(t, d)
		var added, removed, changed int64
		for k, v := range model[1] {
			if old, ok := model[0][k]; !ok {
				added++
			} else if old != v {
				changed++
			}
		}
		for k := range model[0] {
			if _, ok := model[1][k]; !ok {
				removed++
			}
		}
		if got := tables["t"]; got.Added != added || got.Removed != removed || got.Changed != changed {
			t.Errorf("%s: %d added, %d removed, %d changed, want %d, %d, %d", table, got.Added, got.Removed, got.Changed, added, removed, changed)
		}
	}
}
