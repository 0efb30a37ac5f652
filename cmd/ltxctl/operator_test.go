package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/fixture"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
	"github.com/litefs-s3/litefs-s3/writer/lease"
)

// busyShop is a replica of a real database with a transaction a second.
func busyShop(t *testing.T, transactions int) *memstore.Store {
	sql := []string{"CREATE TABLE posts(id INTEGER PRIMARY KEY, title TEXT); CREATE TABLE tags(name TEXT PRIMARY KEY) WITHOUT ROWID; INSERT INTO tags VALUES ('go')"}
	for i := 2; i <= transactions; i++ {
		sql = append(sql, fmt.Sprintf("INSERT INTO posts VALUES (%d, 'post %d')", i, i))
	}
	return fixture.Database(t, sql...)
}

// localDatabase is a SQLite file made by SQL.
func localDatabase(t *testing.T, sql string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "app.db")
	conn, err := sqlite3.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.Exec(sql); err != nil {
		t.Fatal(err)
	}
	return path
}

// queryFile returns the first column of the rows of a query on a file.
func queryFile(t *testing.T, path, sql string) string {
	t.Helper()
	conn, err := sqlite3.Open("file:" + path + "?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	stmt, _, err := conn.Prepare(sql)
	if err != nil {
		t.Fatal(err)
	}
	defer stmt.Close()
	var rows []string
	for stmt.Step() {
		rows = append(rows, stmt.ColumnText(0))
	}
	if err := stmt.Err(); err != nil {
		t.Fatal(err)
	}
	return strings.Join(rows, ",")
}

// decode reads what a command has written as JSON.
func decode[T any](t *testing.T, h *host) (value T) {
	t.Helper()
	if err := json.Unmarshal(h.out.Bytes(), &value); err != nil {
		t.Fatalf("%v in\n%s", err, h.out.String())
	}
	return value
}

// damage writes another byte into the middle of an object.
func damage(t *testing.T, store *memstore.Store, key string) {
	t.Helper()
	data := bytes.Clone(object(t, store, key).Data)
	data[len(data)/2] ^= 0xff
	if _, err := store.Put(t.Context(), key, bytes.NewReader(data), objstore.PutOptions{}); err != nil {
		t.Fatal(err)
	}
}

// object is one that is in the store.
func object(t *testing.T, store *memstore.Store, key string) memstore.Object {
	t.Helper()
	for _, o := range store.Objects() {
		if o.Key == key {
			return o
		}
	}
	t.Fatalf("no %s among %q", key, store.Keys())
	panic("unreachable")
}

func remove(t *testing.T, store *memstore.Store, keys ...string) {
	t.Helper()
	if err := store.Delete(t.Context(), keys...); err != nil {
		t.Fatal(err)
	}
}

func l0(txid int) string { return fmt.Sprintf("0000/%016x-%016x.ltx", txid, txid) }

// leftovers are the files in a directory but those that are expected.
func leftovers(t *testing.T, dir string, expected ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		known := false
		for _, name := range expected {
			known = known || e.Name() == name
		}
		if !known {
			t.Errorf("%s is left behind", e.Name())
		}
	}
}

func TestRestore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "app.db")
	h := &host{store: shop(t)}
	h.expect(t, 0, "restored  "+path, "", "restore", replicaURL, path, "--integrity-check")
	for _, want := range []string{"txid 0003 of 2026-01-02 03:04:07.000Z", "check     ok", "requests"} {
		if !strings.Contains(h.out.String(), want) {
			t.Errorf("%q is not in\n%s", want, h.out.String())
		}
	}
	if got := queryFile(t, path, "SELECT id FROM posts"); got != "1,2,3" {
		t.Errorf("got %s", got)
	}
	past := filepath.Join(dir, "past.db")
	h.expect(t, 0, "txid 0002", "", "restore", replicaURL, "-o", past, "--time", "2026-01-02 03:04:06.5")
	if got := queryFile(t, past, "SELECT id FROM posts"); got != "1,2" {
		t.Errorf("at a time: got %s", got)
	}
	h.env = map[string]string{replicaEnv: replicaURL}
	h.expect(t, 0, `"txid": "0000000000000001"`, "", "restore", past, "--txid", "1", "--force", "--json")
	if got := decode[restored](t, h); got.AllRequests == 0 || got.Pages == 0 || got.Bytes == 0 || got.Replica != "s3://bucket/app" {
		t.Errorf("got %+v", got)
	}
	leftovers(t, dir, "app.db", "past.db")
}

// TestC6_RestoreOverAnExistingFile: nothing is written over without --force, and what SQLite would lay over a restored database goes.
func TestC6_RestoreOverAnExistingFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "app.db")
	h := &host{store: shop(t)}
	if err := os.WriteFile(path+"-wal", []byte("of another database"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.expect(t, exitFailed, "", "app.db-wal is left of another database", "restore", replicaURL, path)
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.expect(t, exitFailed, "", "--force replaces a database", "restore", replicaURL, path)
	if data, _ := os.ReadFile(path); string(data) != "precious" {
		t.Errorf("the file was touched: %q", data)
	}
	h.expect(t, 0, "restored", "", "restore", replicaURL, path, "--force")
	if _, err := os.Stat(path + "-wal"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the stale -wal is still there: %v", err)
	}
	if got := queryFile(t, path, "SELECT count(*) FROM posts"); got != "3" {
		t.Errorf("got %s", got)
	}
}

// TestC3_RestoreAroundAGap: with transactions missing nobody gets an old state for the newest one; the states before the gap can be restored.
func TestC3_RestoreAroundAGap(t *testing.T) {
	t.Parallel()
	store := busyShop(t, 6)
	remove(t, store, l0(4))
	dir := t.TempDir()
	path := filepath.Join(dir, "app.db")
	h := &host{store: store}
	h.expect(t, exitDamaged, "", "the last one before is txid 0000000000000003", "restore", replicaURL, path)
	h.expect(t, exitDamaged, "", "the last one before is txid", "restore", replicaURL, path, "--follow")
	h.expect(t, exitDamaged, "", "in no file", "diff", replicaURL, "--from", "txid:1")
	h.expect(t, exitDamaged, "0000000000000003", "ltxctl repair REPLICA", "history", replicaURL)
	leftovers(t, dir)
	h.expect(t, 0, "txid 0003", "", "restore", replicaURL, path, "--txid", "3")
	if got := queryFile(t, path, "SELECT count(*) FROM posts"); got != "2" {
		t.Errorf("got %s", got)
	}
}

// TestRestore_BeforeDamage: that the newest state cannot be opened is when an earlier one is needed.
func TestRestore_BeforeDamage(t *testing.T) {
	t.Parallel()
	store := busyShop(t, 9)
	store.PageSize = 4 // listings in several pages
	broken := object(t, store, l0(7))
	short := broken.Data[:len(broken.Data)-30]
	if _, err := store.Put(t.Context(), l0(7), bytes.NewReader(short), objstore.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "app.db")
	h := &host{store: store}
	h.expect(t, exitDamaged, "", "L0/0000000000000007", "restore", replicaURL, path)
	h.expect(t, exitDamaged, "", "L0/0000000000000007", "restore", replicaURL, path, "--txid", "8")
	for _, args := range [][]string{{"--txid", "6"}, {"--time", "2026-01-02 03:04:10.9"}, {"--txid", "1"}} {
		h.expect(t, 0, "check     ok", "", append([]string{"restore", replicaURL, path, "--integrity-check", "--force"}, args...)...)
	}
	h.expect(t, 0, "txid 0006", "", "restore", replicaURL, path, "--force", "--time", "2026-01-02 03:04:10.9")
	if got := queryFile(t, path, "SELECT count(*) FROM posts"); got != "5" {
		t.Errorf("got %s", got)
	}
	h.expect(t, exitNotFound, "", "before the first moment", "restore", replicaURL, path+"2", "--time", "2020-01-01")
	h.expect(t, exitDamaged, "txid 0006 of 2026-01-02 03:04:10.000Z", "", "verify", replicaURL, "--deep", "--txid", "6")
	if !strings.Contains(h.out.String(), "integrity_check ok") {
		t.Errorf("got\n%s", h.out.String())
	}
}

func TestRestore_IntegrityCheckFails(t *testing.T) {
	t.Parallel()
	h := &host{store: fixture.Store(t, fixture.File{Min: 1, Max: 1})} // well-formed files, and pages that are no database
	path := filepath.Join(t.TempDir(), "app.db")
	h.expect(t, exitDamaged, "restored", "does not pass PRAGMA integrity_check", "restore", replicaURL, path, "--integrity-check")
}

func TestRestore_Follow(t *testing.T) {
	t.Parallel()
	store := busyShop(t, 5)
	last := object(t, store, l0(5))
	remove(t, store, l0(5))
	path := filepath.Join(t.TempDir(), "app.db")
	ctx, cancel := context.WithCancel(t.Context())
	h := &host{store: store, ctx: ctx}
	out := &watched{when: map[string]func(){
		"txid 0000000000000004": func() { store.Put(t.Context(), l0(5), bytes.NewReader(last.Data), objstore.PutOptions{}) },
		"txid 0000000000000005": cancel,
	}}
	code := runWith(t, h, out, "restore", replicaURL, path, "--follow")
	if code != exitOK || !strings.Contains(out.String(), "stays at txid 0000000000000005") {
		t.Errorf("exit code %d\n%s%s", code, out.String(), h.err.String())
	}
	if got := queryFile(t, path, "SELECT count(*) FROM posts"); got != "4" {
		t.Errorf("got %s", got)
	}
}

// watched is an output that does something when a text is written.
type watched struct {
	bytes.Buffer
	when map[string]func()
}

func (w *watched) Write(p []byte) (int, error) {
	for text, do := range w.when {
		if strings.Contains(string(p), text) {
			delete(w.when, text)
			do()
		}
	}
	return w.Buffer.Write(p)
}

// runWith runs a command line with another standard output.
func runWith(t *testing.T, h *host, stdout io.Writer, args ...string) int {
	t.Helper()
	h.err.Reset()
	return run(t.Context(), &system{
		stdin: strings.NewReader(""), stdout: stdout, stderr: &h.err, store: h.store, now: time.Now,
		getenv:        func(string) string { return "" },
		terminal:      func(any) (int, bool) { return 0, false },
		interruptible: func(ctx context.Context) (context.Context, context.CancelFunc) { return context.WithCancel(h.ctx) },
		prompt:        func() editor { return nil },
	}, args)
}

func TestVerify(t *testing.T) {
	t.Parallel()
	h := &host{store: shop(t)}
	h.expect(t, exitOK, "good  s3://bucket/app", "", "verify", replicaURL)
	h.expect(t, exitOK, "integrity_check ok", "", "verify", replicaURL, "--deep", "--txid", "1", "--time", "2026-01-02 03:04:06.5")
	if n := strings.Count(h.out.String(), "integrity_check ok"); n != 2 {
		t.Errorf("%d deep checks, want 2:\n%s", n, h.out.String())
	}
	h.expect(t, exitOK, "", "", "verify", replicaURL, "--sample", "1m", "--json", "--deep")
	got := decode[struct {
		Outcome        string
		Checked, Files int
		Sample         bool
		Deep           []deepCheck
	}](t, h)
	if got.Outcome != "good" || got.Checked != 3 || got.Files != 3 || !got.Sample || len(got.Deep) != 1 || got.Deep[0].Integrity != "ok" {
		t.Errorf("got %+v", got)
	}
	h.expect(t, exitNotFound, "", "is not written yet", "verify", replicaURL, "--deep", "--txid", "99")
	h.expect(t, exitNotFound, "", "before the first moment", "verify", replicaURL, "--deep", "--time", "2020-01-01")
}

// TestVerify_Outcomes: good, bad and could not tell are three exit codes, and three words in JSON.
func TestVerify_Outcomes(t *testing.T) {
	t.Parallel()
	flipped, holed := shop(t), shop(t)
	damage(t, flipped, l0(2))
	remove(t, holed, l0(2))
	noDatabase := fixture.Store(t, fixture.File{Min: 1, Max: 1})
	for name, c := range map[string]struct {
		store   objstore.Store
		code    int
		outcome string
		text    string
		args    []string
	}{
		"good":                 {shop(t), exitOK, "good", "3 of 3 files", nil},
		"a flipped byte":       {flipped, exitDamaged, "bad", "L0/0000000000000002", nil},
		"a missing file":       {holed, exitDamaged, "bad", "ltxctl repair REPLICA", nil},
		"files fine, no base":  {noDatabase, exitDamaged, "bad", "does not pass PRAGMA integrity_check", []string{"--deep"}},
		"the same, not deep":   {noDatabase, exitOK, "good", "1 of 1 file", nil},
		"no answer":            {unreachable{shop(t)}, exitUnknown, "could not tell", "ltxctl doctor REPLICA", nil},
		"no answer, not built": {unreachable{shop(t)}, exitUnknown, "could not tell", "could not tell", []string{"--deep"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := &host{store: c.store}
			h.expect(t, c.code, c.text, "", append([]string{"verify", replicaURL}, c.args...)...)
			h.expect(t, c.code, `"outcome": "`+c.outcome+`"`, "", append([]string{"verify", replicaURL, "--json"}, c.args...)...)
			if !json.Valid(h.out.Bytes()) {
				t.Errorf("no JSON: %s", h.out.String())
			}
		})
	}
}

// unreachable is a store that lists and does not let anything be read.
type unreachable struct{ *memstore.Store }

func (unreachable) refuse(key string) error {
	return &objstore.OpError{Op: "get", Key: key, Err: fmt.Errorf("out of order: %w", objstore.ErrAccess)}
}

func (s unreachable) ReadAt(_ context.Context, ref objstore.Ref, _ []byte, _ int64) error {
	return s.refuse(ref.Key)
}

func (s unreachable) ReadSuffix(_ context.Context, ref objstore.Ref, _ int64) (objstore.Part, error) {
	return objstore.Part{}, s.refuse(ref.Key)
}

func (s unreachable) ReadPrefix(_ context.Context, ref objstore.Ref, _ int64) (objstore.Part, error) {
	return objstore.Part{}, s.refuse(ref.Key)
}

func TestCompact(t *testing.T) {
	t.Parallel()
	h := &host{store: busyShop(t, 100), now: fixture.At(100).Add(10 * time.Minute)}
	h.expect(t, 0, "nothing was done", "", "compact", replicaURL, "--dry-run")
	for _, want := range []string{"make", "L1", "at AWS's prices", "to read"} {
		if !strings.Contains(h.out.String(), want) {
			t.Errorf("%q is not in\n%s", want, h.out.String())
		}
	}
	h.expect(t, 0, `"usd": 0.`, "", "compact", replicaURL, "--dry-run", "--json")
	plan := decode[struct {
		Steps []struct{ Level int }
		Files int
	}](t, h)
	if plan.Files != 100 || len(plan.Steps) < 3 {
		t.Errorf("got %+v", plan)
	}
	h.expect(t, 0, "made", "", "compact", replicaURL)
	h.expect(t, 0, "removed  L0", "", "compact", replicaURL)
	h.expect(t, 0, "nothing was to do", "", "compact", replicaURL)
	h.now = h.now.Add(time.Hour)
	h.expect(t, 0, "made  L3", "", "compact", replicaURL, "--retention", "1d")
	h.expect(t, exitOK, "good", "", "verify", replicaURL, "--deep")
	h.expect(t, 0, "99\n", "", "query", replicaURL, "SELECT count(*) FROM posts")
	h.expect(t, 0, `"deleted"`, "", "compact", replicaURL, "--json", "--l0-retention", "10s", "--grace", "1s", "--retention", "1s", "--snapshot-interval", "never")
}

// TestC4_CompactBesideLitestream: where another program compacts it says so and does nothing, unless it is forced.
func TestC4_CompactBesideLitestream(t *testing.T) {
	t.Parallel()
	store := levels(t)
	before := len(store.Keys())
	h := &host{store: store, now: fixture.At(60)}
	h.expect(t, 0, "deferred: another program compacts this replica", "", "compact", replicaURL)
	h.expect(t, 0, `"deferred": "another program`, "", "compact", replicaURL, "--json", "--dry-run")
	if len(store.Keys()) != before {
		t.Errorf("something was stored: %q", store.Keys())
	}
	h.expect(t, 0, "made", "", "compact", replicaURL, "--force", "--snapshot-interval", "never")
}

// TestC3_AGapIsReported: what can be merged is, and the exit code tells of what is missing.
func TestC3_AGapIsReported(t *testing.T) {
	t.Parallel()
	store := busyShop(t, 100)
	remove(t, store, l0(70))
	h := &host{store: store, now: fixture.At(100).Add(10 * time.Minute)}
	h.expect(t, exitDamaged, "made", "ltxctl repair REPLICA", "compact", replicaURL)
	h.expect(t, exitDamaged, "", "0000000000000046 to 0000000000000046 are in no file", "compact", replicaURL, "--dry-run")
}

func TestCompact_Watch(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	h := &host{store: busyShop(t, 70), ctx: ctx}
	out := &watched{when: map[string]func(){"msg=compacted": cancel}}
	if code := runWith(t, h, out, "compact", replicaURL, "--watch"); code != exitOK || !strings.Contains(out.String(), "stopped; what was made stays") {
		t.Errorf("exit code %d\n%s%s", code, out.String(), h.err.String())
	}
	denied := &host{store: noList{}, ctx: t.Context()}
	if code := runWith(t, denied, new(bytes.Buffer), "compact", replicaURL, "--watch"); code != exitAccess {
		t.Errorf("without rights: exit code %d, %s", code, denied.err.String())
	}
}

// noList is a store that denies listing.
type noList struct{ objstore.Store }

func (noList) List(_ context.Context, prefix, _ string) (objstore.Page, error) {
	return objstore.Page{}, &objstore.OpError{Op: "list", Key: prefix, Err: objstore.ErrAccess}
}

func TestSnapshot(t *testing.T) {
	t.Parallel()
	store := busyShop(t, 5)
	h := &host{store: store, now: fixture.At(100)}
	h.expect(t, 0, "L9", "", "snapshot", replicaURL, "--dry-run")
	h.expect(t, 0, "made  L9", "", "snapshot", replicaURL)
	object(t, store, "0009/0000000000000001-0000000000000005.ltx")
	h.expect(t, 0, "one file holds the whole database as of the newest transaction, 0000000000000005", "", "snapshot", replicaURL)
	h.expect(t, 0, `"made": null`, "", "snapshot", replicaURL, "--json")
}

func TestPush(t *testing.T) {
	t.Parallel()
	path := localDatabase(t, "PRAGMA journal_mode=wal; CREATE TABLE t(x); INSERT INTO t VALUES (1), (2)")
	writer, err := sqlite3.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	if err := writer.Exec("PRAGMA wal_autocheckpoint=0; INSERT INTO t VALUES (3); BEGIN IMMEDIATE; INSERT INTO t VALUES (4)"); err != nil {
		t.Fatal(err) // the third is only in the log, and the fourth in nobody's database yet
	}
	store := new(memstore.Store)
	h := &host{store: store}
	h.expect(t, 0, "pushed "+path, "", "push", path, replicaURL)
	h.expect(t, 0, "3\n", "", "query", replicaURL, "SELECT count(*) FROM t")
	h.expect(t, exitOK, "good", "", "verify", replicaURL, "--deep")
	h.expect(t, exitFailed, "", "something under the prefix already", "push", path, replicaURL)
	if keys := store.Keys(); len(keys) != 1 || keys[0] != l0(1) {
		t.Errorf("stored: %q", keys)
	}
	h = &host{store: new(memstore.Store), env: map[string]string{replicaEnv: replicaURL}}
	h.expect(t, 0, `"txid": "0000000000000001"`, "", "push", path, "--json")
}

func TestPush_Refuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text := filepath.Join(dir, "text.db")
	os.WriteFile(text, []byte(strings.Repeat("no database", 100)), 0o600)
	unsound := localDatabase(t, "CREATE TABLE t(x); INSERT INTO t WITH RECURSIVE c(n) AS (VALUES(1) UNION ALL SELECT n+1 FROM c LIMIT 9999) SELECT n FROM c")
	data, err := os.ReadFile(unsound)
	if err != nil {
		t.Fatal(err)
	}
	copy(data[len(data)/2:], make([]byte, 8192))
	os.WriteFile(unsound, data, 0o600)
	store := new(memstore.Store)
	h := &host{store: store}
	h.expect(t, exitNotFound, "", "no such file", "push", filepath.Join(dir, "missing.db"), replicaURL)
	h.expect(t, exitFailed, "", "not a database", "push", text, replicaURL)
	h.expect(t, exitFailed, "", "does not pass PRAGMA integrity_check", "push", unsound, replicaURL)
	if len(store.Keys()) > 0 {
		t.Errorf("stored: %q", store.Keys())
	}
}

func TestRepair(t *testing.T) {
	t.Parallel()
	store := shop(t)
	h := &host{store: store, now: fixture.At(100)}
	h.expect(t, 0, "nothing to repair", "", "repair", replicaURL, "--yes")
	remove(t, store, l0(2))
	before := len(store.Keys())
	h.expect(t, 0, "nothing was done", "", "repair", replicaURL)
	if !strings.Contains(h.out.String(), "given up") || len(store.Keys()) != before {
		t.Errorf("got\n%s", h.out.String())
	}
	h.expect(t, 0, `"done": false`, "", "repair", replicaURL, "--json")

	held := lease.Options{Owner: "web-1:7", TTL: time.Minute, Now: func() time.Time { return h.now }}
	l, err := lease.Acquire(t.Context(), store, held)
	if err != nil {
		t.Fatal(err)
	}
	h.expect(t, exitFailed, "", "web-1:7 writes to the replica", "repair", replicaURL, "--yes")
	if err := l.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.expect(t, 0, "repaired", "", "repair", replicaURL, "--yes")
	h.expect(t, 0, "1\n", "", "query", replicaURL, "SELECT count(*) FROM posts")
	h.expect(t, exitOK, "good", "", "verify", replicaURL, "--deep")
}

func TestRepair_FromAnImage(t *testing.T) {
	t.Parallel()
	store := shop(t)
	remove(t, store, l0(1))
	path := localDatabase(t, "PRAGMA journal_mode=wal; CREATE TABLE posts(id INTEGER PRIMARY KEY, title TEXT); INSERT INTO posts VALUES (1,'a'), (2,'b')")
	h := &host{store: store, now: fixture.At(100)}
	h.expect(t, exitDamaged, "", "--image", "repair", replicaURL)
	h.expect(t, 0, "becomes txid", "", "repair", replicaURL, "--image", path)
	h.expect(t, 0, "repaired", "", "repair", replicaURL, "--image", path, "--yes")
	h.expect(t, 0, "2\n", "", "query", replicaURL, "SELECT count(*) FROM posts")
}

func TestStatus(t *testing.T) {
	t.Parallel()
	store := levels(t)
	h := &host{store: store, width: 80}
	h.expect(t, 0, "no lease: Litestream, which takes none", "", "status", replicaURL)
	opts := lease.Options{Owner: "web-1:7", TTL: 30 * time.Second, Now: func() time.Time { return fixture.At(25) }}
	if _, err := lease.Acquire(t.Context(), store, opts); err != nil {
		t.Fatal(err)
	}
	h.expect(t, 0, "web-1:7, lease (generation 1) good for another 30 seconds", "", "status", replicaURL)
	h.expect(t, 0, "$3.33 a month per follower of a busy writer", "", "status", replicaURL)
	h.expect(t, 0, "stored", "", "status", "file:/srv/replica")
	if strings.Contains(h.out.String(), "$") {
		t.Errorf("a directory costs nothing:\n%s", h.out.String())
	}
	h.expect(t, 0, "", "", "status", replicaURL, "--json")
	got := decode[struct {
		Health    string
		Lease     struct{ State, Owner string }
		Following struct{ Busy struct{ Gets int } }
		Head      struct{ TXID string }
	}](t, h)
	if got.Health != "ok" || got.Lease.State != "held" || got.Following.Busy.Gets != 7776000 || got.Head.TXID != "0000000000000018" {
		t.Errorf("got %+v", got)
	}
	store.Put(t.Context(), "lock.json", strings.NewReader("{"), objstore.PutOptions{})
	h.expect(t, 0, "lease object is damaged", "", "status", replicaURL)
	remove(t, store, "0001/0000000000000010-0000000000000014.ltx", "0002/000000000000000b-0000000000000014.ltx")
	h.expect(t, exitDamaged, "damaged", "", "status", replicaURL)
}

func TestHistory(t *testing.T) {
	t.Parallel()
	h := &host{store: busyShop(t, 60)}
	h.now = fixture.At(61)
	h.expect(t, 0, "2026-01-02T03:05:04.000Z\t000000000000003c\t0\t000000000000003c\t", "", "history", replicaURL, "--tables")
	lines := strings.Split(strings.TrimSpace(h.out.String()), "\n")
	if len(lines) != 51 || !strings.Contains(lines[1], "posts 1") {
		t.Errorf("%d lines, the first of them %q", len(lines), lines[1])
	}
	h.expect(t, 0, "", "", "history", replicaURL, "--since", "2026-01-02T03:04:10Z", "--until", "2026-01-02T03:04:12.5Z", "--json")
	got := decode[struct {
		Moments      int
		Transactions []struct {
			TXID  string
			Pages int
		}
	}](t, h)
	if got.Moments != 60 || len(got.Transactions) != 3 || got.Transactions[0].TXID != "0000000000000008" || got.Transactions[0].Pages == 0 {
		t.Errorf("got %+v", got)
	}
	h.width = 100
	h.expect(t, 0, "50 moments of 60; --limit 0 shows all", "", "history", replicaURL)
	h.expect(t, 0, "(whole database)", "", "history", replicaURL, "--limit", "0", "--tables")
	h.expect(t, exitNotFound, "", "before the first moment", "history", replicaURL, "--until", "2020-01-01")
}

func TestDiff(t *testing.T) {
	t.Parallel()
	store := fixture.Database(t,
		"CREATE TABLE posts(id INTEGER PRIMARY KEY, title TEXT); CREATE TABLE still(x); INSERT INTO still VALUES (1); INSERT INTO posts VALUES (1, 'one'), (2, 'two')",
		"CREATE TABLE tags(name TEXT PRIMARY KEY) WITHOUT ROWID; INSERT INTO tags VALUES ('go')",
		"UPDATE posts SET title = 'zwei' WHERE id = 2; INSERT INTO posts VALUES (3, NULL)",
		"DELETE FROM posts WHERE id = 1; CREATE INDEX posts_title ON posts(title)")
	h := &host{store: store}
	h.expect(t, 0, "posts: 1 added, 0 removed, 1 changed\n  + id=3  title=NULL\n  ~ id=2  title: 'two' → 'zwei'\n", "", "diff", replicaURL, "--from", "txid:2", "--to", "txid:3")
	if !strings.Contains(h.out.String(), "1 table compared, 2 not touched") {
		t.Errorf("tables without a page that differs were read:\n%s", h.out.String())
	}
	h.expect(t, 0, "+ index posts_title", "", "diff", replicaURL, "--from", "2026-01-02T03:04:05Z")
	for _, want := range []string{"+ table tags", "posts: 1 added, 1 removed, 1 changed", "- id=1  title='one'"} {
		if !strings.Contains(h.out.String(), want) {
			t.Errorf("%q is not in\n%s", want, h.out.String())
		}
	}
	h.expect(t, 0, "", "", "diff", replicaURL, "--from", "txid:1", "--limit", "0", "--json")
	got := decode[struct {
		Tables []struct {
			Table                   string
			Added, Removed, Changed int
			Rows                    []any
		}
		Schema struct{ Added []struct{ Name string } }
	}](t, h)
	if len(got.Tables) != 1 || got.Tables[0].Table != "posts" || got.Tables[0].Removed != 1 || len(got.Tables[0].Rows) != 0 || len(got.Schema.Added) != 2 {
		t.Errorf("got %+v", got)
	}
	h.expect(t, 0, "no row differs", "", "diff", replicaURL, "--from", "txid:1", "--to", "txid:4", "--table", "still")
	h.expect(t, 0, "+ table tags\n", "", "diff", replicaURL, "--from", "txid:1", "--to", "txid:4", "--table", "tags")
	h.expect(t, 0, "no row differs", "", "diff", replicaURL, "--from", "latest")
}

// TestDiff_TellsWhatQueriesTell compares each two moments with what the databases of both say.
func TestDiff_TellsWhatQueriesTell(t *testing.T) {
	t.Parallel()
	sql := []string{"CREATE TABLE a(id INTEGER PRIMARY KEY, x); CREATE TABLE b(id INTEGER PRIMARY KEY, x); CREATE TABLE c(k TEXT PRIMARY KEY, x) WITHOUT ROWID"}
	for i := range 6 {
		sql = append(sql, []string{
			"INSERT INTO a WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n LIMIT 300) SELECT i, randomblob(200) FROM n",
			"INSERT INTO b SELECT id, x FROM a; INSERT INTO c SELECT hex(x), id FROM a", "UPDATE a SET x = zeroblob(9000) WHERE id = 7",
			"DELETE FROM b WHERE id % 3 = 0", "UPDATE c SET x = -x WHERE x % 50 = 0", "DROP TABLE b; CREATE TABLE b(id INTEGER PRIMARY KEY, x); INSERT INTO b VALUES (1, 1)",
		}[i])
	}
	store := fixture.Database(t, sql...)
	h := &host{store: store}
	for from := 1; from <= len(sql); from++ {
		for to := from; to <= len(sql); to++ {
			h.expect(t, 0, "", "", "diff", replicaURL, "--json", fmt.Sprintf("--from=txid:%x", from), fmt.Sprintf("--to=txid:%x", to))
			got := decode[struct {
				Tables []struct {
					Table                   string
					Added, Removed, Changed int
				}
			}](t, h)
			tables := map[string]string{"a": "0 0 0", "b": "0 0 0", "c": "0 0 0"}
			for _, table := range got.Tables {
				tables[table.Table] = fmt.Sprint(table.Added, table.Removed, table.Changed)
			}
			for table, key := range map[string]string{"a": "id", "b": "id", "c": "k"} {
				if want := counts(t, store, table, key, from, to); tables[table] != want {
					t.Errorf("%s from %d to %d: %s, want %s", table, from, to, tables[table], want)
				}
			}
		}
	}
}

// counts says how many rows were added, removed and changed, from what each moment says by itself.
func counts(t *testing.T, store objstore.Store, table, key string, from, to int) string {
	t.Helper()
	var rows [2]map[string]string
	for i, txid := range []int{from, to} {
		rows[i] = map[string]string{}
		h := &host{store: store}
		h.run(t, "query", replicaURL, "--json", fmt.Sprintf("--txid=%x", txid), fmt.Sprintf("SELECT %s AS k, hex(x) || typeof(x) AS v FROM %s", key, table))
		for _, row := range decode[[]struct {
			K any
			V string
		}](t, h) {
			rows[i][fmt.Sprint(row.K)] = row.V
		}
	}
	var added, removed, changed int
	for k, v := range rows[1] {
		if old, ok := rows[0][k]; !ok {
			added++
		} else if old != v {
			changed++
		}
	}
	for k := range rows[0] {
		if _, ok := rows[1][k]; !ok {
			removed++
		}
	}
	return fmt.Sprint(added, removed, changed)
}

// stuck is a store that does not answer from some request on, and presses Ctrl-C then.
type stuck struct {
	*memstore.Store
	puts   bool // those; else reads of many pages
	ctrlC  context.CancelFunc
	called atomic.Bool
}

func (s *stuck) hang(ctx context.Context, op, key string) error {
	s.called.Store(true)
	s.ctrlC()
	<-ctx.Done()
	return &objstore.OpError{Op: op, Key: key, Err: ctx.Err()}
}

func (s *stuck) Put(ctx context.Context, key string, body io.ReadSeeker, opts objstore.PutOptions) (string, error) {
	if s.puts && strings.HasSuffix(key, ".ltx") {
		return "", s.hang(ctx, "put", key)
	}
	return s.Store.Put(ctx, key, body, opts)
}

func (s *stuck) ReadAt(ctx context.Context, ref objstore.Ref, p []byte, off int64) error {
	if !s.puts && len(p) >= 256<<10 {
		return s.hang(ctx, "get", ref.Key)
	}
	return s.Store.ReadAt(ctx, ref, p, off)
}

// TestCtrlC_LeavesEverythingSound: interrupted in the middle of its work a command says how to go on, leaves no half file, and the same
// command does its work afterwards.
func TestCtrlC_LeavesEverythingSound(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		store *memstore.Store
		puts  bool
		next  string
		args  func(dir string) []string
	}{
		"restore": {bigShop(t), false, "run the command again", func(dir string) []string {
			return []string{"restore", replicaURL, filepath.Join(dir, "restored.db")}
		}},
		"compact": {busyShop(t, 70), true, "run it again and it goes on from here", func(dir string) []string {
			return []string{"compact", replicaURL, "--temp-dir", dir}
		}},
		"snapshot": {busyShop(t, 5), true, "run it again and it goes on from here", func(dir string) []string {
			return []string{"snapshot", replicaURL, "--temp-dir", dir}
		}},
		"push": {new(memstore.Store), true, "a replica appears whole or not at all", func(dir string) []string {
			return []string{"push", localDatabase(t, "CREATE TABLE t(x)"), replicaURL, "--temp-dir", dir}
		}},
		"verify": {bigShop(t), false, "nothing was changed", func(dir string) []string {
			return []string{"verify", replicaURL, "--deep", "--temp-dir", dir}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			ctx, cancel := context.WithCancel(t.Context())
			store := &stuck{Store: c.store, puts: c.puts, ctrlC: cancel}
			args := c.args(dir)
			h := &host{store: store, ctx: ctx, now: fixture.At(2000)}
			h.expect(t, exitInterrupted, "", "interrupted", args...)
			if !strings.Contains(strings.Join(strings.Fields(h.err.String()), " "), c.next) {
				t.Errorf("it does not say how to go on:\n%s", h.err.String())
			}
			if !store.called.Load() {
				t.Error("it was over before the store hung")
			}
			leftovers(t, dir)
			h = &host{store: c.store, now: fixture.At(2000)}
			h.expect(t, exitOK, "", "", args...)
		})
	}
}

// bigShop is a replica whose file is too large to be fetched with its index.
func bigShop(t *testing.T) *memstore.Store {
	return fixture.Database(t, "CREATE TABLE t(x); INSERT INTO t WITH RECURSIVE c(n) AS (VALUES(1) UNION ALL SELECT n+1 FROM c LIMIT 3000) SELECT randomblob(3000) FROM c")
}

// TestProgress_OnATerminal: the bar goes to standard error and leaves nothing there.
func TestProgress_OnATerminal(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	var looks atomic.Int64
	code := run(t.Context(), &system{
		now:   func() time.Time { return fixture.At(25).Add(time.Duration(looks.Add(1)) * time.Second) }, // so that nothing is over soon
		stdin: strings.NewReader(""), stdout: &out, stderr: &errs, store: bigShop(t), getenv: func(string) string { return "" },
		terminal:      func(stream any) (int, bool) { return 80, stream == any(&errs) },
		interruptible: func(ctx context.Context) (context.Context, context.CancelFunc) { return context.WithCancel(ctx) },
		prompt:        func() editor { return nil },
	}, []string{"restore", replicaURL, filepath.Join(t.TempDir(), "app.db")})
	if code != 0 || !strings.Contains(errs.String(), "restoring") || strings.Contains(errs.String(), "\n") || strings.Contains(out.String(), "\r") {
		t.Errorf("exit code %d, %q, %q", code, errs.String(), out.String())
	}
}
