// Package wasinode tests the example beside it with Node, against a small server that speaks as much of S3 as a public bucket does.
package wasinode

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/litefs-s3/litefs-s3/integration/replicagen"
	"github.com/litefs-s3/litefs-s3/integration/sample"
	"github.com/litefs-s3/litefs-s3/integration/wasimodule"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

// bucket serves a store as the bucket "bucket": objects with Range and If-Match, and the listing.
type bucket struct {
	store *memstore.Store
	delay time.Duration // of each object

	mu       sync.Mutex
	now, max int // requests under way; guarded by mu
}

func (b *bucket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	key, ok := strings.CutPrefix(r.URL.Path, "/bucket")
	switch key = strings.TrimPrefix(key, "/"); {
	case !ok:
		http.Error(w, "NoSuchBucket", http.StatusNotFound)
	case key == "":
		b.list(w, r)
	default:
		b.get(w, r, key)
	}
}

func (b *bucket) get(w http.ResponseWriter, r *http.Request, key string) {
	b.count(1)
	defer b.count(-1)
	time.Sleep(b.delay)
	for _, o := range b.store.Objects() {
		if o.Key == key {
			w.Header().Set("ETag", `"`+o.ETag+`"`)
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(o.Data))
			return
		}
	}
	http.Error(w, "NoSuchKey", http.StatusNotFound)
}

func (b *bucket) count(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now += n
	b.max = max(b.max, b.now)
}

func (b *bucket) list(w http.ResponseWriter, r *http.Request) {
	type contents struct {
		Key, ETag, LastModified string
		Size                    int64
	}
	var result struct {
		XMLName     xml.Name `xml:"ListBucketResult"`
		IsTruncated bool
		Contents    []contents
	}
	page, err := b.store.List(r.Context(), r.URL.Query().Get("prefix"), r.URL.Query().Get("start-after"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	result.IsTruncated = page.More
	for _, o := range page.Objects {
		result.Contents = append(result.Contents, contents{o.Key, `"` + o.ETag + `"`, o.Modified.Format(time.RFC3339), o.Size})
	}
	xml.NewEncoder(w).Encode(result) //nolint:errcheck // the client sees it
}

// TestNode runs the example. Node is Debian's package nodejs.
func TestNode(t *testing.T) {
	t.Parallel()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatalf("this example needs Node 20 or later: apt-get install nodejs (%v)", err)
	}
	module, err := wasimodule.File(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b := &bucket{store: &memstore.Store{PageSize: 5}, delay: 20 * time.Millisecond}
	made := replica(t, b.store)
	server := httptest.NewServer(b)
	t.Cleanup(server.Close)
	const endless = "WITH RECURSIVE c(n) AS (VALUES(1) UNION ALL SELECT n+1 FROM c) SELECT max(n) FROM c"
	const slow, fast = 120_000, 300 // milliseconds: for what should work, and for what should not
	cases := []testCase{
		{"/bucket/app", "", slow, "SELECT id, name IS NOT NULL FROM users WHERE id = ?", []any{7}, `{"rows":[[7,1]]}`},
		{"/bucket/app/", "", slow, "SELECT NULL, 9007199254740993, 1.5, 'ä', x'00ff', ?", []any{true}, `{"rows":[[null,"9007199254740993",1.5,"ä",[0,255],1]]}`},
		{"/bucket/app", "", slow, "SELECT :a || :b", map[string]any{"b": "B", "a": "A"}, `{"rows":[["AB"]]}`},
		{"/bucket/app", "", slow, "SELECT sum(length(body)) > 100000 FROM posts", []any{}, `{"rows":[[1]]}`},
		{"/bucket/app", "", slow, "PRAGMA litestream_txid", []any{}, made.TXID.String()},
		{"/bucket/app", made.Plan[1].Max.String(), slow, "PRAGMA litestream_txid", []any{}, made.Plan[1].Max.String()},
		{"/bucket/app", "", slow, "SELECT * FROM nowhere", []any{}, "sql: sqlite3: SQL logic error: no such table: nowhere"},
		{"/bucket/app", "", slow, "DELETE FROM posts", []any{}, "denied: "},
		{"/bucket/other", "", slow, "SELECT 1", []any{}, "not_found: "},
		{"/else/app", "", slow, "SELECT 1", []any{}, "store: "},
		{"/bucket/app", "", fast, endless, []any{}, "interrupted: "},
		{"/bucket/app", "", fast, "SELECT instr(zeroblob(2000000), zeroblob(900000)||x'01')", []any{}, "ended: the module did not stop"},
	}
	got := run(t, node, module, server.URL, cases)
	for i, c := range cases {
		if !strings.Contains(got[i], c.Want) {
			t.Errorf("%s of %s: got %s, want %s", c.SQL, c.URL, got[i], c.Want)
		}
	}
	if b.max < 2 {
		t.Errorf("at most %d requests ran at once, want several", b.max)
	}
}

// testCase is a statement on a replica, and a part of what comes back.
type testCase struct {
	URL     string `json:"url"`
	TXID    string `json:"txid,omitempty"`
	Timeout int    `json:"timeout"`
	SQL     string `json:"sql"`
	Params  any    `json:"params"`
	Want    string `json:"-"`
}

// run runs cases in one process, and returns a line for each.
func run(t *testing.T, node, module, server string, cases []testCase) []string {
	t.Helper()
	for i := range cases {
		cases[i].URL = server + cases[i].URL
	}
	in, err := json.Marshal(map[string]any{"module": module, "cases": cases})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), node, "--no-warnings", "testdata/cases.mjs")
	cmd.Stdin = bytes.NewReader(in)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if err != nil || len(lines) != len(cases) {
		t.Fatalf("%d lines for %d cases, and %v\n%s%s", len(lines), len(cases), err, out, stderr.Bytes())
	}
	return lines
}

// replica makes one below app/.
func replica(t *testing.T, store *memstore.Store) *replicagen.Replica {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sample.db")
	if err := sample.Build(t.Context(), path, sample.Options{Posts: 3000}); err != nil {
		t.Fatal(err)
	}
	made, err := replicagen.Chain(t.Context(), store, path, replicagen.Options{Files: 8, Prefix: "app"})
	if err != nil {
		t.Fatal(err)
	}
	return made
}
