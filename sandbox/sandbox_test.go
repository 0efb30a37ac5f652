package sandbox_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/integration/wasimodule"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/faultstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
	"github.com/litefs-s3/litefs-s3/sandbox"
	"github.com/litefs-s3/litefs-s3/sandbox/guest"
)

// TestQuery_SameAsSQLite: what comes back is what SQLite says of the restored file.
func TestQuery_SameAsSQLite(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "image.db")
	if err := os.WriteFile(path, theReplica(t).image, 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := sqlite3.Open("file:" + path + "?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	sb := open(t, sandbox.Options{Limits: sandbox.Limits{Time: -1, Rows: -1, Bytes: -1}})
	for _, query := range []string{
		"SELECT * FROM posts ORDER BY id",
		"SELECT u.*, count(*), avg(length(p.body)) FROM users u JOIN posts p ON p.user_id = u.id GROUP BY u.id ORDER BY 1",
		"SELECT * FROM likes ORDER BY 1, 2 LIMIT 5000",
		"SELECT NULL, 1, -9223372036854775808, 1.5, 1e300, '', 'ä', x'', x'00ff', 'a'||char(0)||'b'",
		"SELECT name, sql FROM sqlite_schema ORDER BY name",
		"SELECT 1 WHERE 0",
	} {
		want, columns := natively(t, db, query)
		rows, err := sb.Query(t.Context(), query)
		if err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		if got := rows.Columns(); !reflect.DeepEqual(got, columns) {
			t.Errorf("%s: columns %q, want %q", query, got, columns)
		}
		n := 0
		for ; rows.Next(); n++ {
			if n < len(want) && !reflect.DeepEqual(rows.Values(), want[n]) {
				t.Fatalf("%s: row %d is %v, want %v", query, n, rows.Values(), want[n])
			}
		}
		if rows.Err() != nil || n != len(want) {
			t.Errorf("%s: %d rows and %v, want %d", query, n, rows.Err(), len(want))
		}
		rows.Close()
	}
}

// natively runs a statement on a plain file.
func natively(t *testing.T, db *sqlite3.Conn, query string) (rows [][]any, columns []string) {
	t.Helper()
	stmt, _, err := db.Prepare(query)
	if err != nil {
		t.Fatal(err)
	}
	defer stmt.Close()
	for i := range stmt.ColumnCount() {
		columns = append(columns, stmt.ColumnName(i))
	}
	for stmt.Step() {
		row := make([]any, stmt.ColumnCount())
		for i := range row {
			switch stmt.ColumnType(i) {
			case sqlite3.INTEGER:
				row[i] = stmt.ColumnInt64(i)
			case sqlite3.FLOAT:
				row[i] = stmt.ColumnFloat(i)
			case sqlite3.TEXT:
				row[i] = stmt.ColumnText(i)
			case sqlite3.BLOB:
				row[i] = stmt.ColumnBlob(i, []byte{})
			}
		}
		rows = append(rows, row)
	}
	if err := stmt.Err(); err != nil {
		t.Fatal(err)
	}
	return rows, columns
}

func TestQuery_Arguments(t *testing.T) {
	t.Parallel()
	sb := open(t, sandbox.Options{})
	want := []any{int64(7), 2.5, "ä", []byte{1, 0}, nil, int64(1), int64(math.MaxInt64)}
	rows, err := all(t.Context(), sb, "SELECT ?, ?, ?, ?, ?, ?, ?", 7, 2.5, "ä", []byte{1, 0}, nil, true, uint64(math.MaxInt64))
	if err != nil || len(rows) != 1 || !reflect.DeepEqual(rows[0], want) {
		t.Errorf("in order: %v and %v, want %v", rows, err, want)
	}
	if got := one(t, sb, "SELECT :a || $b || @a || ?4", sql.Named("b", "B"), sql.Named("a", "A"), sql.Named("4", "D")); got != "ABAD" {
		t.Errorf("by name: %v", got)
	}
	for _, c := range []struct {
		sql  string
		args []any
	}{
		{"SELECT ?", nil},
		{"SELECT ?", []any{1, 2}},
		{"SELECT :a", []any{sql.Named("b", 1)}},
		{"SELECT ?", []any{time.Now()}},
		{"SELECT 1; SELECT 2", nil},
		{"SELECT", nil},
		{"-- nothing", nil},
		{"", nil},
	} {
		if rows, err := all(t.Context(), sb, c.sql, c.args...); err == nil {
			t.Errorf("%s with %v: got %v, want an error", c.sql, c.args, rows)
		}
	}
	if got := one(t, sb, "SELECT 1; -- and no more"); got != int64(1) {
		t.Errorf("with a comment: %v", got)
	}
}

// TestQuery_NothingIsLeft: statements know nothing of each other, also those that were not read to their ends.
func TestQuery_NothingIsLeft(t *testing.T) {
	t.Parallel()
	sb := open(t, sandbox.Options{})
	for range 20 {
		rows, err := sb.Query(t.Context(), endless+"SELECT n, hex(zeroblob(5000)) FROM c")
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			if !rows.Next() {
				t.Fatal(rows.Err())
			}
		}
		rows.Close()
		if rows.Next() {
			t.Fatal("a row after Close")
		}
	}
	alive(t, sb)
}

func TestQuery_SideBySide(t *testing.T) {
	t.Parallel()
	sb := open(t, sandbox.Options{Instances: 2, Limits: sandbox.Limits{Time: -1}})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 3 {
				rows, err := all(t.Context(), sb, "SELECT sum(length(body)) FROM posts")
				if err != nil || len(rows) != 1 {
					t.Errorf("got %v and %v", rows, err)
				}
			}
		})
	}
	wg.Wait()
}

// TestRequests_SideBySide: the module has one thread, and its requests run at the same time all the same.
func TestRequests_SideBySide(t *testing.T) {
	t.Parallel()
	metrics := objstore.NewMetrics(slow{theReplica(t).store})
	sb := openOn(t, metrics, sandbox.Options{Limits: sandbox.Limits{Time: -1}})
	one(t, sb, "SELECT sum(length(body)) FROM posts")
	if got := metrics.Stats().MaxInFlight; got < 3 {
		t.Errorf("at most %d requests ran at once, want several", got)
	}
}

// slow is a store that takes a moment.
type slow struct{ objstore.Store }

func (s slow) ReadAt(ctx context.Context, ref objstore.Ref, p []byte, off int64) error {
	time.Sleep(20 * time.Millisecond)
	return s.Store.ReadAt(ctx, ref, p, off)
}

func (s slow) ReadSuffix(ctx context.Context, ref objstore.Ref, n int64) (objstore.Part, error) {
	time.Sleep(20 * time.Millisecond)
	return s.Store.ReadSuffix(ctx, ref, n)
}

// TestFollow: a transaction that comes is there in the next statement, unless a moment was chosen.
func TestFollow(t *testing.T) {
	t.Parallel()
	w := theReplica(t)
	store, plan := new(memstore.Store), w.made.Plan
	last := plan[len(plan)-1]
	put := func(key string) {
		for _, o := range w.store.Objects() {
			if o.Key != key {
				continue
			}
			if _, err := store.Put(t.Context(), key, bytes.NewReader(o.Data), objstore.PutOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, f := range plan[:len(plan)-1] {
		put(f.Key)
	}
	follows := openOn(t, store, sandbox.Options{PollInterval: time.Nanosecond})
	stays := openOn(t, store, sandbox.Options{PollInterval: -1})
	past := openOn(t, store, sandbox.Options{TXID: plan[2].Max.String()})
	timed := openOn(t, store, sandbox.Options{Time: plan[2].Time.Format(time.RFC3339Nano)})
	before := one(t, stays, "PRAGMA litestream_txid")
	put(last.Key)
	for name, c := range map[string]struct {
		sb   *sandbox.Sandbox
		want any
	}{
		"following":     {follows, last.Max.String()},
		"not following": {stays, before},
		"a transaction": {past, plan[2].Max.String()},
		"a time":        {timed, plan[2].Max.String()},
	} {
		if got := one(t, c.sb, "PRAGMA litestream_txid"); got != c.want {
			t.Errorf("%s: at %v, want %v", name, got, c.want)
		}
	}
}

// TestStore: what is wrong with the store is told with its cause.
func TestStore(t *testing.T) {
	t.Parallel()
	if _, err := (sandbox.Options{Module: module}).Open(t.Context(), new(memstore.Store)); !errors.Is(err, index.ErrNotReachable) {
		t.Errorf("an empty store: got %v, want ErrNotReachable", err)
	}
	if _, err := (sandbox.Options{Module: module, TXID: "ffff"}).Open(t.Context(), theReplica(t).store); !errors.Is(err, index.ErrNotReachable) {
		t.Errorf("a transaction that is not there: got %v, want ErrNotReachable", err)
	}
	for n := int64(0); ; n++ {
		fault := faultstore.FailNth(n)
		sb, err := sandbox.Options{Module: module, Instances: 1, Limits: sandbox.Limits{Time: -1}}.Open(t.Context(), fault.Wrap(theReplica(t).store))
		if err == nil {
			_, err = all(t.Context(), sb, "SELECT sum(length(body)) FROM posts")
			if err != nil && fault.Fired() {
				alive(t, sb) // the fault is over
			}
			sb.Close()
		}
		if err != nil && !errors.Is(err, faultstore.ErrInjected) {
			t.Fatalf("call %d: the injected fault was lost: %v", n, err)
		}
		if !fault.Fired() || testing.Short() && n > 8 {
			return
		}
	}
}

func TestModule(t *testing.T) {
	t.Setenv(guest.Env, filepath.Join(t.TempDir(), "nothing"))
	if _, err := sandbox.Open(t.Context(), theReplica(t).store, sandbox.Limits{}); !errors.Is(err, sandbox.ErrModule) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a module that is not there: got %v", err)
	}
	if _, err := (sandbox.Options{Module: []byte("\x00asm\x01\x00\x00\x00")}).Open(t.Context(), theReplica(t).store); !errors.Is(err, sandbox.ErrModule) {
		t.Errorf("a module that cannot be stopped: got %v", err)
	}
	path, err := wasimodule.File(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(guest.Env, path)
	sb, err := sandbox.Open(t.Context(), theReplica(t).store, sandbox.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	alive(t, sb)
	if err := sb.Close(); err != nil {
		t.Error(err)
	}
	if _, err := sb.Query(t.Context(), "SELECT 1"); !errors.Is(err, sandbox.ErrClosed) {
		t.Errorf("after Close: got %v, want ErrClosed", err)
	}
	if _, err := sandbox.Open(t.Context(), theReplica(t).store, sandbox.Limits{Memory: 1 << 20}); err == nil {
		t.Error("a memory of 1 MiB is taken")
	}
}
