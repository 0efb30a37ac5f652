package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/fixture"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// host is a system for a test.
type host struct {
	store    objstore.Store
	env      map[string]string
	stdin    string
	width    int // of the terminal; 0 is none
	now      time.Time
	editor   editor
	ctx      context.Context // ends when Ctrl-C is pressed
	out, err bytes.Buffer
}

// run runs a command line and returns its exit code.
func (h *host) run(t *testing.T, args ...string) int {
	t.Helper()
	h.out.Reset()
	h.err.Reset()
	if h.env == nil {
		h.env = map[string]string{"NO_COLOR": "1"}
	}
	if h.now.IsZero() {
		h.now = fixture.At(25)
	}
	s := &system{
		stdin: strings.NewReader(h.stdin), stdout: &h.out, stderr: &h.err, store: h.store,
		now:      func() time.Time { return h.now },
		getenv:   func(name string) string { return h.env[name] },
		terminal: func(stream any) (int, bool) { return h.width, h.width > 0 && stream == any(&h.out) },
		interruptible: func(ctx context.Context) (context.Context, context.CancelFunc) {
			if h.ctx == nil {
				return context.WithCancel(ctx)
			}
			return context.WithCancel(h.ctx)
		},
		prompt: func() editor { return h.editor },
		lines:  func(any) int { return 24 },
	}
	return run(t.Context(), s, args)
}

// expect runs a command line that has to end with a code, and to write what is wanted to both streams.
func (h *host) expect(t *testing.T, code int, stdout, stderr string, args ...string) {
	t.Helper()
	got := h.run(t, args...)
	if got != code || !strings.Contains(h.out.String(), stdout) || !strings.Contains(h.err.String(), stderr) {
		t.Errorf("ltxctl %s\nexit code %d, want %d\nstdout %s\nwant %q\nstderr %s\nwant %q",
			strings.Join(args, " "), got, code, h.out.String(), stdout, h.err.String(), stderr)
	}
}

const replicaURL = "s3://bucket/app?endpoint=http://127.0.0.1:9"

// levels is a replica with files on four levels.
func levels(t *testing.T) *memstore.Store {
	files := []fixture.File{
		{Level: 9, Min: 1, Max: 10}, {Level: 2, Min: 1, Max: 10}, {Level: 2, Min: 11, Max: 20, Commit: 12},
		{Level: 1, Min: 11, Max: 15}, {Level: 1, Min: 16, Max: 20, Commit: 12},
	}
	for txid := uint64(17); txid <= 24; txid++ {
		files = append(files, fixture.File{Min: txid, Max: txid, Commit: 12})
	}
	return fixture.Store(t, files...)
}

// shop is a replica of a real database: three transactions.
func shop(t *testing.T) *memstore.Store {
	return fixture.Database(t,
		"CREATE TABLE posts(id INTEGER PRIMARY KEY, title TEXT); CREATE INDEX posts_title ON posts(title); INSERT INTO posts VALUES (1, 'one')",
		"INSERT INTO posts VALUES (2, 'two')", "INSERT INTO posts VALUES (3, NULL)")
}

// took is what differs from run to run: lengths of time, and how requests overlap.
var took = regexp.MustCompile(`in \d+ waves?, (.*), \d+ (µs|ms)$`)

func TestGolden(t *testing.T) {
	t.Parallel()
	gap := fixture.Store(t, fixture.File{Level: 9, Min: 1, Max: 10}, fixture.File{Min: 11, Max: 11}, fixture.File{Min: 14, Max: 14})
	for name, c := range map[string]struct {
		store *memstore.Store
		width int
		code  int
		args  []string
	}{
		"list":        {levels(t), 80, 0, []string{"list", replicaURL}},
		"list_wide":   {levels(t), 120, 0, []string{"list", replicaURL, "--level", "0,9"}},
		"list_long":   {levels(t), 80, 0, []string{"list", "--long", replicaURL}},
		"list_colour": {levels(t), 80, 0, []string{"list", replicaURL, "-l2", "--color", "always"}},
		"list_piped":  {levels(t), 0, 0, []string{"list", replicaURL, "--long"}},
		"list_json":   {levels(t), 0, 0, []string{"list", replicaURL, "--json", "--level=1", "--times"}},
		"info":        {levels(t), 80, 0, []string{"info", replicaURL}},
		"info_wide":   {levels(t), 120, 0, []string{"info", replicaURL}},
		"info_gap":    {gap, 80, exitDamaged, []string{"info", replicaURL}},
		"help":        {levels(t), 80, 0, nil},
		"help_query":  {levels(t), 80, 0, []string{"query", "--help"}},
		"status":      {levels(t), 80, 0, []string{"status", replicaURL}},
		"history":     {busyShop(t, 4), 80, 0, []string{"history", replicaURL, "--tables"}},
		"diff":        {busyShop(t, 30), 80, 0, []string{"diff", replicaURL, "--from", "txid:2", "--limit", "3"}},
		"help_exit":   {levels(t), 80, 0, []string{"help", "exit-codes"}},

		"help_compact": {levels(t), 80, 0, []string{"compact", "--help"}},
		"help_restore": {levels(t), 80, 0, []string{"restore", "--help"}},
		"help_verify":  {levels(t), 80, 0, []string{"verify", "--help"}},
		"help_push":    {levels(t), 80, 0, []string{"push", "--help"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := &host{store: c.store, width: c.width}
			if code := h.run(t, c.args...); code != c.code || h.err.Len() > 0 {
				t.Fatalf("exit code %d: %s", code, h.err.String())
			}
			compare(t, name, h.out.String())
		})
	}
}

func compare(t *testing.T, name, got string) {
	t.Helper()
	lines := strings.Split(got, "\n")
	for i, line := range lines {
		lines[i] = took.ReplaceAllString(line, "in … waves, $1, … ms")
	}
	got = strings.Join(lines, "\n")
	path := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestGolden_FitsTheScreen(t *testing.T) {
	t.Parallel()
	for _, width := range []int{80, 100, 120} {
		for _, args := range [][]string{{"list"}, {"list", "--long"}, {"info"}, {"status"}, {"history"}, {"compact", "--dry-run", "--force"}, {"verify"}} {
			h := &host{store: levels(t), width: width}
			h.run(t, append(args, replicaURL)...)
			for line := range strings.Lines(h.out.String()) {
				if n := len([]rune(strings.TrimRight(line, "\n"))); n > width {
					t.Errorf("%v: %d characters on %d columns: %s", args, n, width, line)
				}
			}
		}
	}
}

func TestInfo_JSON(t *testing.T) {
	t.Parallel()
	h := &host{store: levels(t)}
	h.expect(t, 0, "", "", "info", "--json", replicaURL)
	var info struct {
		Replica string
		Head    struct{ TXID string }
		Window  struct{ Moments int }
		Levels  []struct{ Level, Files int }
		Health  string
	}
	if err := json.Unmarshal(h.out.Bytes(), &info); err != nil {
		t.Fatal(err)
	}
	if info.Replica != "s3://bucket/app" || info.Head.TXID != "0000000000000018" || info.Window.Moments == 0 || len(info.Levels) != 4 || info.Health != "ok" {
		t.Errorf("got %+v from\n%s", info, h.out.String())
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	h := &host{store: shop(t)}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"lsit"}, `unknown command "lsit"; did you mean "list"?`},
		{[]string{"s3://bucket/app"}, "a command comes before the replica: ltxctl info s3://bucket/app"},
		{[]string{"list"}, "no replica: give its URL, like s3://bucket/path, or set LITESTREAM_REPLICA_URL"},
		{[]string{"list", "bucket/app"}, "no replica URL"},
		{[]string{"list", "ftp://bucket/app"}, `unknown scheme "ftp"; it is s3 (with an endpoint also for Google`},
		{[]string{"list", t.TempDir()}, "for the directory write file:/"},
		{[]string{"help", "qurey"}, `unknown command "qurey"; did you mean "query"?`},
		{[]string{"help", "lease", "brek"}, `unknown command "brek"; did you mean "break"?`},
		{[]string{"query", replicaURL, "SELECT 1", "--txid", "zz"}, `txid "zz" is not one`},
		{[]string{"query", replicaURL, "SELECT 1", "--timeout", "0"}, "longer than nothing"},
		{[]string{"restore", replicaURL, t.TempDir()}, "is a directory; give the file to make in it"},
		{[]string{"list", "s3://bucket/app?endpint=x"}, `did you mean "endpoint"?`},
		{[]string{"list", "s3://user:hunter2@bucket/app"}, "credentials go into"},
		{[]string{"list", replicaURL, "more"}, "too many arguments"},
		{[]string{"list", replicaURL, "--level", "12"}, "levels go from 0"},
		{[]string{"list", replicaURL, "--tmes"}, `unknown flag --tmes; did you mean "--times"?`},
		{[]string{"list", replicaURL, "--color=sometimes"}, "--color"},
		{[]string{"query", replicaURL}, "no SQL"},
		{[]string{"query", replicaURL, " "}, "the SQL is empty"},
		{[]string{"query", replicaURL, "SELECT 1", "--format", "tabel"}, `did you mean "table"?`},
		{[]string{"query", replicaURL, "SELECT 1", "--time", "fife minutes ago"}, "write \"five minutes ago\""},
		{[]string{"query", replicaURL, "SELECT 1", "--time", "tomorrow"}, "time \"tomorrow\""},
		{[]string{"query", replicaURL, "SELECT 1", "--time", "now", "--txid", "1"}, "both choose a moment"},
		{[]string{"query", replicaURL, "SELECT 1", "--timeout", "soon"}, "--timeout"},
		{[]string{"query", replicaURL, "SELECT 1", "--param", "x"}, "name=value"},
		{[]string{"query", replicaURL, "SELECT :x"}, ":x: the parameter has no value"},
		{[]string{"demo", "now"}, "takes no arguments"},
		{[]string{"version", "--quiet"}, "unknown flag --quiet"},
		{[]string{"restoer", replicaURL}, `did you mean "restore"?`},
		{[]string{"restore", replicaURL}, "no file to restore to"},
		{[]string{"restore", "app.db", replicaURL}, "the replica comes before the file: ltxctl restore s3://bucket/app app.db"},
		{[]string{"restore", replicaURL, "app.db", "-o", "b.db"}, "the file is given twice"},
		{[]string{"restore", replicaURL, "s3://bucket/other"}, "ltxctl push makes a replica"},
		{[]string{"restore", replicaURL, "app.db", "--follow", "--time", "yesterday"}, "cannot stay at a past one"},
		{[]string{"restore", replicaURL, "app.db", "--follow", "--integrity-check"}, "exclude each other"},
		{[]string{"restore", replicaURL, "app.db", "--time", "yesterday", "--txid", "1"}, "both choose a moment"},
		{[]string{"restore", replicaURL, "app.db", "--txid", "xyz"}, `txid "xyz" is not one`},
		{[]string{"restore", replicaURL, "app.db", "--forse"}, `did you mean "--force"?`},
		{[]string{"verify", replicaURL, "--time", "yesterday"}, "--time and --txid choose what --deep builds"},
		{[]string{"verify", replicaURL, "--temp-dir", "/tmp"}, "--temp-dir is for --deep"},
		{[]string{"verify", replicaURL, "--sample", "-1s"}, "longer than nothing"},
		{[]string{"verify", replicaURL, "--deep", "--time", "5"}, "a number without a unit"},
		{[]string{"push"}, "no database"},
		{[]string{"push", "app.db"}, "no replica"},
		{[]string{"push", replicaURL, "app.db"}, "the file comes before the replica: ltxctl push app.db s3://bucket/app"},
		{[]string{"push", replicaURL}, "ltxctl restore makes one of a replica"},
		{[]string{"push", "app.db", "bucket/app"}, "no replica URL"},
		{[]string{"compact", replicaURL, "--levels", "30s,50s"}, "want a multiple of the 30s of level 1"},
		{[]string{"compact", replicaURL, "--retention", "soon"}, "write 30s, 5m, 24h or 7d"},
		{[]string{"compact", replicaURL, "--retention", "0"}, "longer than nothing"},
		{[]string{"compact", replicaURL, "--grace", "forever"}, "no length of time"},
		{[]string{"compact", replicaURL, "--watch", "--dry-run"}, "exclude each other"},
		{[]string{"compact", replicaURL, "--dryrun"}, `did you mean "--dry-run"?`},
		{[]string{"history", replicaURL, "--limit", "-1"}, "cannot be negative"},
		{[]string{"history", replicaURL, "--since", "now", "--until", "2025-01-01"}, "is before --since"},
		{[]string{"history", replicaURL, "--since", "whenever"}, "--since"},
		{[]string{"diff", replicaURL}, "no --from"},
		{[]string{"diff", replicaURL, "--from", "txid:2", "--to", "txid:1"}, "swap them"},
		{[]string{"diff", replicaURL, "--from", "txid:zz"}, "--from: txid"},
		{[]string{"diff", replicaURL, "--from", "txid:1", "--table", "pots"}, `did you mean "posts"?`},
		{[]string{"status", replicaURL, "more"}, "too many arguments"},
		{[]string{"repair", replicaURL, "--yess"}, `did you mean "--yes"?`},
	} {
		h.expect(t, exitUsage, "", c.want, c.args...)
		if strings.Contains(h.err.String(), "hunter2") {
			t.Errorf("a password is shown: %s", h.err.String())
		}
	}
}

func TestHelpTopics(t *testing.T) {
	t.Parallel()
	h := &host{}
	h.expect(t, 0, "130  interrupted", "", "help", "exit-codes")
	h.expect(t, 0, "LITESTREAM_REPLICA_URL", "", "help", "replica-url")
}

func TestQuery(t *testing.T) {
	t.Parallel()
	h := &host{store: shop(t), env: map[string]string{replicaEnv: replicaURL}, stdin: "SELECT 'from' AS stdin;\n-- the end\n"}
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"csv":            {[]string{"query", replicaURL, "SELECT * FROM posts"}, "id,title\n1,one\n2,two\n3,\n"},
		"flags first":    {[]string{"--json", "query", "-t", "latest", replicaURL, "SELECT * FROM posts WHERE id = 3"}, `[{"id":3,"title":null}]`},
		"replica of env": {[]string{"query", "SELECT count(*) AS n FROM posts"}, "n\n3\n"},
		"stdin":          {[]string{"query", "-"}, "stdin\nfrom\n"},
		"two statements": {[]string{"query", "SELECT 1 AS a; SELECT 2 AS b;"}, "a\n1\nb\n2\n"},
		"parameters":     {[]string{"query", "SELECT title FROM posts WHERE id = :id", "-p", "id=2"}, "title\ntwo\n"},
		"by txid":        {[]string{"query", "SELECT count(*) AS n FROM posts", "--txid", "2"}, "n\n2\n"},
		"by time":        {[]string{"query", "SELECT count(*) AS n FROM posts", "--time", "2026-01-02 03:04:06.5"}, "n\n2\n"},
		"table":          {[]string{"query", "SELECT id FROM posts", "--format=table", "--no-header"}, "1\n2\n3\n(3 rows)\n"},
		"null":           {[]string{"query", "SELECT title FROM posts WHERE id > 1", "--null", "nil"}, "title\ntwo\nnil\n"},
	} {
		h.expect(t, 0, c.want, "", c.args...)
		if h.err.Len() > 0 {
			t.Errorf("%s: %s", name, h.err.String())
		}
	}
}

func TestQuery_Stats(t *testing.T) {
	t.Parallel()
	h := &host{store: shop(t)}
	h.expect(t, 0, "3\n", "stats: ", "query", replicaURL, "SELECT count(*) FROM posts", "--stats")
	if !regexp.MustCompile(`stats: \d+ requests \(\d+ get, 1 list\) in \d+ waves, [\d.]+ KiB; open .*, run `).MatchString(h.err.String()) {
		t.Errorf("got %s", h.err.String())
	}
	h.expect(t, 0, "", `"get":`, "query", replicaURL, "SELECT 1", "--stats", "--json")
}

func TestQuery_Errors(t *testing.T) {
	t.Parallel()
	h := &host{store: shop(t)}
	for _, c := range []struct {
		code int
		args []string
		want string
	}{
		{exitFailed, []string{"SELECT * FORM posts"}, "           ^"},
		{exitFailed, []string{"SELECT * FROM pots"}, `did you mean "posts"?`},
		{exitFailed, []string{"DELETE FROM posts"}, "read-only"},
		{exitFailed, []string{"CREATE TABLE t(x)"}, "read-only"},
		{exitNotFound, []string{"SELECT 1", "--txid", "99"}, "txid 0000000000000099 is not written yet"},
		{exitNotFound, []string{"SELECT 1", "--time", "2020-01-01"}, `"ltxctl info REPLICA" shows`},
		{exitNotFound, []string{"PRAGMA litestream_time = '2020-01-01'"}, "before the first moment"},
		{exitUsage, []string{"PRAGMA litestream_time = 'whenever'"}, "whenever"},
		{exitTimeout, []string{"WITH RECURSIVE c(n) AS (VALUES(1) UNION ALL SELECT n+1 FROM c) SELECT max(n) FROM c", "--timeout", "50ms"}, "out of time"},
	} {
		h.expect(t, c.code, "", c.want, append([]string{"query", replicaURL}, c.args...)...)
	}
}

// TestQuery_NeverPanicsForWantOfMemory: incident of the driver, which panics when SQLite reports NOMEM.
func TestQuery_NeverPanicsForWantOfMemory(t *testing.T) {
	t.Parallel()
	h := &host{store: shop(t)}
	h.expect(t, exitFailed, "", "too big", "query", replicaURL, "select length(hex(zeroblob(100000000)))")
	many := "SELECT " + strings.TrimSuffix(strings.Repeat("hex(zeroblob(23000000)), ", 10), ", ")
	h.expect(t, exitFailed, "", "out of memory", "query", replicaURL, many)
	h = &host{store: h.store, stdin: many + ";\nSELECT 'alive' AS x;\n"}
	h.expect(t, exitFailed, "x\nalive\n", "out of memory", "shell", replicaURL)
}

func TestQuery_RequestBudget(t *testing.T) {
	t.Parallel()
	h := &host{store: fixture.Database(t, `CREATE TABLE t(x); WITH RECURSIVE c(n) AS (VALUES(1) UNION ALL SELECT n+1 FROM c LIMIT 2000)
		INSERT INTO t SELECT randomblob(3000) FROM c`)}
	h.expect(t, exitFailed, "", "request", "query", replicaURL, "SELECT sum(length(x)) FROM t", "--max-reqs", "1")
	h.expect(t, 0, "6000000\n", "", "query", replicaURL, "SELECT sum(length(x)) FROM t", "--max-reqs", "1000")
}

func TestQuery_CtrlC(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	h := &host{store: shop(t), ctx: ctx}
	start := time.Now()
	h.expect(t, exitInterrupted, "", "ltxctl: interrupted\n", "query", replicaURL,
		"SELECT 1 AS first; WITH RECURSIVE c(n) AS (VALUES(1) UNION ALL SELECT n+1 FROM c) SELECT max(n) FROM c")
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
}

// hanging is a store that answers only when the request is given up.
type hanging struct{ objstore.Store }

func (hanging) List(ctx context.Context, prefix, _ string) (objstore.Page, error) {
	<-ctx.Done()
	return objstore.Page{}, &objstore.OpError{Op: "list", Key: prefix, Err: ctx.Err()}
}

func TestEveryCommand_CtrlCWhileTheStoreHangs(t *testing.T) {
	t.Parallel()
	never := filepath.Join(t.TempDir(), "never.db")
	database := localDatabase(t, "CREATE TABLE t(x)")
	for _, args := range [][]string{
		{"list"}, {"info"}, {"query", replicaURL, "SELECT 1"}, {"shell"}, {"doctor"}, {"status"}, {"history"}, {"diff", "--from=txid:1"},
		{"restore", never}, {"verify", "--deep"}, {"compact"}, {"snapshot"}, {"repair"}, {"push", database},
	} {
		t.Run(args[0], func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(50*time.Millisecond, cancel)
			h := &host{store: hanging{new(memstore.Store)}, ctx: ctx, env: map[string]string{replicaEnv: replicaURL}}
			h.expect(t, exitInterrupted, "", "ltxctl: interrupted", args...)
		})
	}
}

func TestEveryCommand_NoReplica(t *testing.T) {
	t.Parallel()
	v3 := new(memstore.Store)
	v3.Put(t.Context(), "generations/0123456789abcdef/snapshots/00000001.snapshot.lz4", strings.NewReader("x"), objstore.PutOptions{})
	deeper := new(memstore.Store)
	deeper.Put(t.Context(), "app/0000/0000000000000001-0000000000000001.ltx", strings.NewReader("x"), objstore.PutOptions{})
	for _, c := range []struct {
		store *memstore.Store
		want  string
	}{{new(memstore.Store), "nothing is stored under the prefix"}, {v3, "v0.3"}, {deeper, `"app" below it`}} {
		for _, args := range [][]string{
			{"list"}, {"info"}, {"query", "SELECT 1"}, {"shell"}, {"doctor"}, {"status"}, {"history"}, {"diff", "--from=txid:1"},
			{"restore", filepath.Join(t.TempDir(), "never.db")}, {"verify"}, {"compact"}, {"snapshot"}, {"repair"}, {"index"},
		} {
			h := &host{store: c.store, env: map[string]string{replicaEnv: replicaURL}}
			code := h.run(t, args...)
			if code != exitNotFound || !strings.Contains(strings.Join(strings.Fields(h.out.String()+h.err.String()), " "), c.want) {
				t.Errorf("%v: exit code %d, want %d and %q:\n%s%s", args, code, exitNotFound, c.want, h.out.String(), h.err.String())
			}
			if said := h.err.String(); args[0] != "doctor" && !strings.HasPrefix(said, "ltxctl: "+displayURL(replicaURL)+": ") {
				t.Errorf("%v does not say which replica: %s", args, said)
			}
		}
	}
}

func TestEveryCommand_Damaged(t *testing.T) {
	t.Parallel()
	store := shop(t)
	key := store.Keys()[1]
	if err := store.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	h := &host{store: store}
	h.expect(t, exitDamaged, "damaged", "", "info", replicaURL)
	h.expect(t, exitDamaged, "", "in no file", "query", replicaURL, "SELECT 1")
	h.expect(t, exitDamaged, "FAIL  chain", "", "doctor", replicaURL)
	h.expect(t, exitOK, "1\n", "", "query", replicaURL, "SELECT count(*) FROM posts", "--txid=1")

	store.Put(t.Context(), key, strings.NewReader("no LTX file at all, although it has the name of one; and it is long enough "+
		"to have a header, an index and a trailer, if only it were one"), objstore.PutOptions{})
	h.expect(t, exitDamaged, "", "L0/0000000000000002-0000000000000002", "info", replicaURL)
	h.expect(t, exitDamaged, "", "L0/0000000000000002-0000000000000002", "query", replicaURL, "SELECT 1")
}

// A command that is recommended can be copied, when nothing in the URL stands in the way.
func TestComplete(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"s3://bucket/app": "ltxctl info s3://bucket/app", "": "ltxctl info REPLICA",
		"s3://bucket/app?endpoint=http://localhost:9000": "ltxctl info REPLICA", "file:/my dir": "ltxctl info REPLICA", "file:/$(id)": "ltxctl info REPLICA",
	} {
		if got := (&cli{replica: url}).complete("ltxctl info REPLICA"); got != want {
			t.Errorf("%q: got %q, want %q", url, got, want)
		}
	}
}

// TestS3Errors: what a server says becomes a message and an exit code, and never shows a secret.
func TestS3Errors(t *testing.T) {
	const secret = "hunter2hunter2hunter2"
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIAHUNTER")
	t.Setenv("AWS_SECRET_ACCESS_KEY", secret)
	t.Setenv("AWS_SESSION_TOKEN", "")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	for _, c := range []struct {
		status    int
		code      string
		exit      int
		want, why string
	}{
		{404, "NoSuchBucket", exitNotFound, "bucket not found", "missing bucket"},
		{403, "SignatureDoesNotMatch", exitAccess, "AWS_SECRET_ACCESS_KEY", "wrong secret"},
		{403, "InvalidAccessKeyId", exitAccess, "AWS_ACCESS_KEY_ID", "wrong key"},
		{403, "AccessDenied", exitAccess, "s3:ListBucket", "no right"},
		{400, "ExpiredToken", exitAccess, "temporary credentials", "old token"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/xml")
			w.WriteHeader(c.status)
			fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s %s</Message></Error>", c.code, secret, r.Header.Get("Authorization"))
		}))
		h := &host{now: time.Now(), env: map[string]string{"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}}
		for _, args := range [][]string{{"list"}, {"query", "", "SELECT 1"}, {"doctor"}} {
			url := "s3://bucket/app?region=us-east-1&endpoint=" + server.URL
			if len(args) > 1 {
				args[1] = url
			} else {
				args = append(args, url)
			}
			code := h.run(t, args...)
			text := h.out.String() + h.err.String()
			if code != c.exit || !strings.Contains(strings.Join(strings.Fields(text), " "), c.want) {
				t.Errorf("%s, %s: exit code %d, want %d and %q:\n%s", c.why, args[0], code, c.exit, c.want, text)
			}
			if strings.Contains(text, secret) || strings.Contains(text, "AKIAHUNTER") || regexp.MustCompile("Signature=[0-9a-f]").MatchString(text) {
				t.Errorf("%s, %s: a secret is shown:\n%s", c.why, args[0], text)
			}
		}
		server.Close()
	}
}

func TestShell_Piped(t *testing.T) {
	t.Parallel()
	h := &host{store: shop(t), stdin: strings.Join([]string{
		".tables", ".indexes", ".schema posts", "SELECT count(*) AS n", "FROM posts -- all; of them", ";", ".txid 2", "SELECT count(*) AS n FROM posts;",
		".time 2026-01-02T03:04:05.5Z", ".mode json", "SELECT * FROM posts;", ".time latest", ".mode csv", ".headers off", ".stats on",
		"SELECT max(id) FROM posts;", ".help", "SELECT 'no semicolon at the end'",
	}, "\n")}
	h.expect(t, 0, `posts
posts_title
CREATE TABLE posts(id INTEGER PRIMARY KEY, title TEXT)
;
CREATE INDEX posts_title ON posts(title)
;
n
3
reading txid 0002 of 2026-01-02 03:04:06.000Z, 23 seconds ago
n
2
reading txid 0001 of 2026-01-02 03:04:05.000Z, 24 seconds ago
[{"id":1,"title":"one"}]
reading txid 0003 of 2026-01-02 03:04:07.000Z, 22 seconds ago
3
`, "stats: ", "shell", replicaURL)
	if !strings.HasSuffix(h.out.String(), "no semicolon at the end\n") || !strings.Contains(h.out.String(), ".schema [TABLE]") {
		t.Errorf("got\n%s", h.out.String())
	}
}

func TestShell_GoesOnAfterErrors(t *testing.T) {
	t.Parallel()
	h := &host{store: shop(t), stdin: ".tabels\nSELEC 1;\n.time 2020-01-01\n.mode fancy\n.headers maybe\n.schema pots\nDELETE FROM posts;\n.quit\nSELECT 'never';"}
	h.expect(t, exitFailed, "", "", "shell", replicaURL)
	for _, want := range []string{`did you mean ".tables"?`, "SELEC 1", "before the first moment", `unknown format "fancy"`, "neither on nor off", `did you mean "posts"?`, "read-only"} {
		if !strings.Contains(h.err.String(), want) {
			t.Errorf("%q is not in\n%s", want, h.err.String())
		}
	}
	if h.out.Len() > 0 {
		t.Errorf("got %s", h.out.String())
	}
}

func TestShell_Follows(t *testing.T) {
	t.Parallel()
	h := &host{store: shop(t), stdin: ".status\n"}
	h.expect(t, 0, "health     ok", "", "shell", replicaURL)
	h.expect(t, 0, `"health": "ok"`, "", "shell", replicaURL, "--json")
}

// typist is an editor that types lines; an error is typed as it is.
type typist struct {
	lines   []any
	prompts []string
	between func(n int) // before line n
	closed  bool
}

func (e *typist) Line(prompt string) (string, error) {
	e.prompts = append(e.prompts, prompt)
	if e.between != nil {
		e.between(len(e.prompts))
	}
	if len(e.lines) == 0 {
		return "", io.EOF
	}
	line := e.lines[0]
	e.lines = e.lines[1:]
	if err, ok := line.(error); ok {
		return "", err
	}
	return line.(string), nil
}

func (e *typist) Close() error {
	e.closed = true
	return nil
}

func TestShell_Typed(t *testing.T) {
	t.Parallel()
	e := &typist{lines: []any{"SELECT 'half", errLineCancelled, "SELECT", "1 AS x;", ".time 2026-01-02T03:04:06.2Z", "oops;", ".quit"}}
	h := &host{store: shop(t), editor: e, width: 80}
	h.expect(t, 0, "x\n─\n1\n(1 row)\n", `near "oops"`, "shell", replicaURL)
	want := []string{"app> ", "...> ", "app> ", "...> ", "app> ", "app @ 2026-01-02 03:04:06Z> ", "app @ 2026-01-02 03:04:06Z> "}
	if strings.Join(e.prompts, "|") != strings.Join(want, "|") || !e.closed {
		t.Errorf("prompts %q, want %q; closed %v", e.prompts, want, e.closed)
	}
}

func TestShell_CtrlCStopsTheStatementAlone(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var cancel context.CancelFunc
	e := &typist{lines: []any{"WITH RECURSIVE c(n) AS (VALUES(1) UNION ALL SELECT n+1 FROM c) SELECT max(n) FROM c;", "SELECT 'alive' AS x;"}}
	h := &host{store: shop(t), editor: e, width: 80}
	e.between = func(n int) { // each line has a Ctrl-C of its own
		mu.Lock()
		defer mu.Unlock()
		h.ctx, cancel = context.WithCancel(t.Context())
		if n == 1 {
			time.AfterFunc(100*time.Millisecond, cancel)
		}
	}
	h.expect(t, 0, "alive", "ltxctl: interrupted\n", "shell", replicaURL)
}

func TestShell_Completes(t *testing.T) {
	t.Parallel()
	c := &cli{system: &system{store: shop(t), getenv: func(string) string { return "" }}}
	s, err := c.session(t.Context(), replicaURL, sessionOptions{poll: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	sh := &shell{cli: c, session: s}
	for line, want := range map[string]string{".ta": ".tables", "sel": "SELECT", "SELECT * FROM po": "posts", "SELECT ti": "title", "SELECT (i": "id"} {
		head, words := sh.complete(line)
		if len(words) == 0 || words[0] != want || !strings.HasPrefix(line, head) {
			t.Errorf("%q: %q %q, want %q", line, head, words, want)
		}
	}
}

func TestDoctor(t *testing.T) {
	t.Parallel()
	h := &host{store: shop(t), env: map[string]string{"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}}
	h.expect(t, 0, "all is well", "", "doctor", replicaURL, "--write")
	if !strings.Contains(h.out.String(), "ok    conditions   create-only puts and If-Match hold") || strings.Contains(h.out.String(), "FAIL") {
		t.Errorf("got\n%s", h.out.String())
	}
	h.expect(t, 0, "not checked; --write", "", "doctor", replicaURL)
	h.expect(t, exitUsage, "FAIL  url", "", "doctor", "s3://bucket/app?endpint=x")
	h.expect(t, exitUsage, "", "no replica", "doctor")
	h.expect(t, 0, "", "", "doctor", replicaURL, "--json")
	var results []struct{ Check, Status string }
	if err := json.Unmarshal(h.out.Bytes(), &results); err != nil || len(results) != 12 || results[8].Status != "ok" {
		t.Errorf("%v, %+v", err, results)
	}
}

func TestDemo(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	h := &host{width: 80}
	h.expect(t, 0, "5002  255536.0", "", "demo")
	for _, want := range []string{"CREATE TABLE orders", "litestream_time", "the reader sees it", "ltxctl doctor s3://BUCKET/PATH"} {
		if !strings.Contains(h.out.String(), want) {
			t.Errorf("%q is not in\n%s", want, h.out.String())
		}
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestDemo_Keeps(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "demo")
	h := &host{}
	h.expect(t, 0, "ltxctl info file:///", "", "demo", "--keep", dir)
	h.expect(t, exitUsage, "", "exists already", "demo", "--keep", dir)
	h.now = time.Now()
	h.expect(t, 0, "5002\n", "", "query", fileURL(filepath.Join(dir, "replica")), "SELECT count(*) FROM orders")
	h.expect(t, 0, "all is well", "", "doctor", fileURL(filepath.Join(dir, "replica")), "--write")
}

func TestVersion(t *testing.T) {
	t.Parallel()
	h := &host{}
	h.expect(t, 0, "SQLite 3.", "", "version")
	h.expect(t, 0, `"sqlite": "3.`, "", "version", "--json")
}

func TestKinds_AreToldApart(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]int{
		errors.New("anything"): exitFailed, usagef("x"): exitUsage, context.Canceled: exitInterrupted, context.DeadlineExceeded: exitTimeout,
		objstore.ErrTemporary: exitUnavailable, objstore.ErrAccess: exitAccess, objstore.ErrNoBucket: exitNotFound, &reported{7}: 7,
	} {
		if code, _ := classify(fmt.Errorf("wrapped: %w", err)); code != want {
			t.Errorf("%v: exit code %d, want %d", err, code, want)
		}
	}
}

func TestDisplayURL_HidesSecrets(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"s3://bucket/app?endpoint=http://x&sse-customer-key=hunter2": "s3://bucket/app",
		"https://user:hunter2@host/app#hunter2":                      "https://host/app",
		"s3://user:hunter2@%zz/app?x=hunter2":                        "s3://%zz/app",
		"file:///srv/replica":                                        "file:///srv/replica",
	} {
		if got := displayURL(in); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}
