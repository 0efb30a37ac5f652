package sqlrun_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/render"
	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/sqlrun"
	"github.com/litefs-s3/litefs-s3/guard"
)

func open(t *testing.T) *sqlrun.Conn {
	t.Helper()
	conn, err := sqlrun.Open(t.Context(), ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil { // an unfinished statement makes it BUSY
			t.Error(err)
		}
	})
	return conn
}

// run returns what SQL writes in a format.
func run(t *testing.T, conn *sqlrun.Conn, sql string, o sqlrun.Options) string {
	t.Helper()
	var b strings.Builder
	if err := conn.Run(t.Context(), sql, nil, sqlrun.NewWriter(&b, render.Screen{}, o)); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

const oddValues = `SELECT 1 AS i, 9007199254740993 AS big, 1.0 AS r, 1e300 * 1e300 AS inf, NULL AS n, '' AS empty, 'say "hi", ok' AS q,
	'two' || char(10) || 'lines' AS l, x'00ff' AS b, ' pad ' AS s`

func TestFormats_OddValues(t *testing.T) {
	t.Parallel()
	conn := open(t)
	for format, want := range map[string]string{
		"csv": `i,big,r,inf,n,empty,q,l,b,s
1,9007199254740993,1.0,Inf,,"","say ""hi"", ok","two
lines",x'00ff'," pad "
`,
		"json": `[{"i":1,"big":9007199254740993,"r":1.0,"inf":9.0e+999,"n":null,"empty":"","q":"say \"hi\", ok","l":"two\nlines","b":"AP8=","s":" pad "}]
`,
		"line": `    i = 1
  big = 9007199254740993
    r = 1.0
  inf = Inf
    n = NULL
empty = 
    q = say "hi", ok
    l = two
lines
    b = x'00ff'
    s =  pad 
`,
		"table": `i               big    r  inf     n  empty  q             l           b        s
─  ────────────────  ───  ───  ────  ─────  ────────────  ──────────  ───────  ─────
1  9007199254740993  1.0  Inf  NULL         say "hi", ok  two\nlines  x'00ff'   pad
(1 row)
`,
	} {
		if got := run(t, conn, oddValues, sqlrun.Options{Format: format}); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", format, got, want)
		}
	}
}

func TestCSV_ReadsBack(t *testing.T) {
	t.Parallel()
	out := run(t, open(t), `SELECT 'a,b' AS x, 'c"d' AS "y""z" UNION ALL SELECT char(13, 10), NULL UNION ALL SELECT '', 'ü'`, sqlrun.Options{Format: "csv"})
	got, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	want := [][]string{{"x", `y"z`}, {"a,b", `c"d`}, {"\n", ""}, {"", "ü"}} // encoding/csv reads \r\n as \n
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, %v from\n%s", got, err, out)
	}
}

func TestCSV_NullTextIsNeverMistaken(t *testing.T) {
	t.Parallel()
	got := run(t, open(t), `VALUES (NULL, 'NULL'), ('', 'x')`, sqlrun.Options{Format: "csv", Null: "NULL", NoHeader: true})
	if want := "NULL,\"NULL\"\n\"\",x\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestJSON_ReadsBack(t *testing.T) {
	t.Parallel()
	out := run(t, open(t), `SELECT 1 AS id, 2 AS id, x'6869' AS b, cast(x'ff41' AS TEXT) AS bad, 0.1 AS r; SELECT 1 WHERE 0; SELECT 'x' AS y UNION ALL SELECT NULL`,
		sqlrun.Options{Format: "json"})
	dec := json.NewDecoder(strings.NewReader(out))
	var first []struct {
		ID  int     `json:"id"`
		ID2 int     `json:"id_2"`
		B   []byte  `json:"b"`
		Bad string  `json:"bad"`
		R   float64 `json:"r"`
	}
	var second, third []map[string]any
	if err := errors.Join(dec.Decode(&first), dec.Decode(&second), dec.Decode(&third)); err != nil {
		t.Fatalf("%v in\n%s", err, out)
	}
	if f := first[0]; f.ID != 1 || f.ID2 != 2 || string(f.B) != "hi" || f.Bad != "\ufffdA" || f.R != 0.1 || len(second) != 0 || len(third) != 2 {
		t.Errorf("got %+v, %v, %v", first, second, third)
	}
}

func TestTable_StreamsInOneGrid(t *testing.T) {
	t.Parallel()
	const rows = 1700
	out := run(t, open(t), fmt.Sprintf("WITH RECURSIVE c(n) AS (VALUES(1) UNION ALL SELECT n+1 FROM c LIMIT %d) SELECT n, 'row ' || n AS name FROM c", rows),
		sqlrun.Options{Format: "table"})
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != rows+3 || lines[rows+2] != "(1,700 rows)" {
		t.Errorf("%d lines, the last one %q", len(lines), lines[len(lines)-1])
	}
	for n, want := range map[int]string{0: "n  name", 10: "  9  row 9", 501: "500  row 500", 1001: "1000  row 1000", 1701: "1700  row 1700"} {
		if got := lines[n]; strings.TrimSpace(got) != strings.TrimSpace(want) {
			t.Errorf("line %d is %q, want %q", n, got, want)
		}
	}
}

func TestTable_OfNothingHasItsHeader(t *testing.T) {
	t.Parallel()
	got := run(t, open(t), "SELECT 1 AS a, 2 AS bc WHERE 0; SELECT 3 AS d", sqlrun.Options{Format: "table"})
	if want := "a  bc\n─  ──\n(0 rows)\n\nd\n─\n3\n(1 row)\n"; got != want {
		t.Errorf("got\n%s", got)
	}
}

func TestTable_CutsToTheTerminal(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	w := sqlrun.NewWriter(&b, render.Screen{Terminal: true, Width: 30}, sqlrun.Options{})
	if err := open(t).Run(t.Context(), "SELECT 1 AS id, hex(zeroblob(50)) AS long, zeroblob(5000) AS b", nil, w); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		if n := len([]rune(strings.TrimSpace(line))); n > 30 && !strings.Contains(line, "(1 row") {
			t.Errorf("%d characters: %q", n, line)
		}
	}
	if !strings.Contains(b.String(), "some values are cut") {
		t.Errorf("got\n%s", b.String())
	}
}

func TestRun_OutOfMemoryIsAnError(t *testing.T) {
	t.Parallel()
	conn := open(t)
	pieces := make([]string, 10) // each below the limit for one value
	for i := range pieces {
		pieces[i] = "hex(zeroblob(23000000))"
	}
	var b strings.Builder
	out := sqlrun.NewWriter(&b, render.Screen{}, sqlrun.Options{Format: "csv"})
	for range 3 {
		err := conn.Run(t.Context(), "SELECT "+strings.Join(pieces, ", "), nil, out)
		if !errors.Is(err, guard.ErrMemory) {
			t.Fatalf("got %v, want ErrMemory", err)
		}
		if got := run(t, conn, "SELECT 'alive' AS x", sqlrun.Options{Format: "csv"}); got != "x\nalive\n" {
			t.Fatalf("afterwards the connection says %q", got)
		}
	}
}

func TestRun_TooBigIsAnError(t *testing.T) {
	t.Parallel()
	conn := open(t)
	var b strings.Builder
	err := conn.Run(t.Context(), "select length(hex(zeroblob(100000000)))", nil, sqlrun.NewWriter(&b, render.Screen{}, sqlrun.Options{}))
	if !errors.Is(err, sqlite3.TOOBIG) {
		t.Errorf("got %v, want TOOBIG", err)
	}
	if got := run(t, conn, "SELECT 1 AS x", sqlrun.Options{Format: "csv"}); got != "x\n1\n" {
		t.Errorf("afterwards the connection says %q", got)
	}
}

func TestRun_CancelStopsTheStatement(t *testing.T) {
	t.Parallel()
	conn := open(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	err := conn.Run(ctx, "WITH RECURSIVE c(n) AS (VALUES(1) UNION ALL SELECT n+1 FROM c) SELECT max(n) FROM c", nil,
		sqlrun.NewWriter(new(bytes.Buffer), render.Screen{}, sqlrun.Options{}))
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 5*time.Second {
		t.Errorf("got %v after %s", err, time.Since(start))
	}
	if got := run(t, conn, "SELECT 1 AS x", sqlrun.Options{Format: "csv"}); got != "x\n1\n" {
		t.Errorf("afterwards the connection says %q", got)
	}
}

func TestRun_RowsBeforeAnErrorAreWritten(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	err := open(t).Run(t.Context(), "SELECT 1 AS a; SELECT abs(column1) AS b FROM (VALUES (5), (-9223372036854775808))", nil,
		sqlrun.NewWriter(&b, render.Screen{}, sqlrun.Options{Format: "csv"}))
	if err == nil || b.String() != "a\n1\nb\n5\n" {
		t.Errorf("got %q, %v", b.String(), err)
	}
}

func TestRun_SyntaxErrorsPointAtThePlace(t *testing.T) {
	t.Parallel()
	conn := open(t)
	run(t, conn, "CREATE TABLE posts(id, title)", sqlrun.Options{})
	for sql, want := range map[string]string{
		"SELECT 1;\nSELECT * FORM posts": "near \"FORM\": syntax error\n  SELECT * FORM posts\n           ^",
		"SELECT titel FROM posts":        "no such column: titel\n  SELECT titel FROM posts\n         ^",
		"SELECT * FROM post":             `no such table: post; did you mean "posts"?`,
		"SELECT (":                       "incomplete input",
	} {
		err := conn.Run(t.Context(), sql, nil, sqlrun.NewWriter(new(bytes.Buffer), render.Screen{}, sqlrun.Options{}))
		if err == nil || !strings.HasSuffix(err.Error(), want) && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v\nwant %s", sql, err, want)
		}
	}
}

func TestParams(t *testing.T) {
	t.Parallel()
	conn := open(t)
	params := sqlrun.Params{}
	for _, p := range []string{"id=42", ":price=1.5", "zip=01234", "name=it's=here", "1=first"} {
		name, value, err := sqlrun.ParseParam(p)
		if err != nil {
			t.Fatal(err)
		}
		params[name] = value
	}
	var b strings.Builder
	out := sqlrun.NewWriter(&b, render.Screen{}, sqlrun.Options{Format: "csv", NoHeader: true})
	err := conn.Run(t.Context(), "SELECT ?1; SELECT typeof(:id), typeof(@price), $zip, :name, :id + 1", params, out)
	if want := "first\ninteger,real,01234,it's=here,43\n"; err != nil || b.String() != want {
		t.Errorf("got %q, %v", b.String(), err)
	}
	if err := conn.Run(t.Context(), "SELECT :missing", nil, out); !errors.Is(err, sqlrun.ErrParam) || !strings.Contains(err.Error(), ":missing") {
		t.Errorf("a parameter without a value: %v", err)
	}
	delete(params, "1")
	err = conn.Run(t.Context(), "SELECT :idd, :price, :zip, :name", sqlrun.Params{"idd": params["id"], "price": {}, "zip": {}, "name": {}, "nam": {}}, out)
	if err == nil || !strings.Contains(err.Error(), `"nam"; did you mean "name"?`) {
		t.Errorf("a value nobody asked for: %v", err)
	}
	for _, bad := range []string{"id", "=1", ":=1"} {
		if _, _, err := sqlrun.ParseParam(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}
