package main

import (
	"path/filepath"
	"testing"

	"github.com/litefs-s3/litefs-s3/integration/wasimodule"
	"github.com/litefs-s3/litefs-s3/sandbox/guest"
)

// TestQuery_Sandbox: statements that nobody has looked at.
func TestQuery_Sandbox(t *testing.T) {
	module, err := wasimodule.File(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(guest.Env, module)
	h := &host{store: shop(t)}
	query := func(sql string, flags ...string) []string {
		return append([]string{"query", replicaURL, sql, "--sandbox"}, flags...)
	}
	const endless = "WITH RECURSIVE c(n) AS (VALUES(1) UNION ALL SELECT n+1 FROM c) "

	h.expect(t, 0, "id,title\n1,one\n2,two\n3,\n", "", query("SELECT * FROM posts")...)
	h.expect(t, 0, "x\n", "", query("SELECT 1.0 AS a, 1e100 AS b, 0.1+0.2 AS c, x'00' AS d, :who AS x", "-p", "who=x", "-f", "csv", "--no-header")...)
	h.expect(t, 0, `[{"id":2,"title":"two"}]`, "", query("SELECT * FROM posts WHERE id = :id", "--param", "id=2", "--json")...)
	h.expect(t, 0, "2\n", "stats: ", query("SELECT count(*) FROM posts", "--txid", "2", "--stats")...)

	h.expect(t, exitTimeout, "", "out of time", query(endless+"SELECT max(n) FROM c", "--timeout", "300ms")...)
	h.expect(t, exitTimeout, "", "out of time", query("SELECT instr(zeroblob(2000000), zeroblob(900000)||x'01')", "--timeout", "300ms")...)
	h.expect(t, exitFailed, "", "out of memory", query("SELECT count(*) FROM (SELECT DISTINCT hex(zeroblob(10000))||n FROM ("+endless+"SELECT n FROM c LIMIT 100000))",
		"--max-memory", "48MiB", "--timeout", "5m")...)
	h.expect(t, exitFailed, "", "too big", query("select length(hex(zeroblob(100000000)))")...)
	h.expect(t, exitFailed, "n\n1\n2\n3\n", "--max-rows", query(endless+"SELECT n FROM c", "--max-rows", "3")...)
	h.expect(t, exitFailed, "", "--max-bytes", query("SELECT hex(zeroblob(1000))", "--max-bytes", "1000")...)
	h.expect(t, exitFailed, "", "--max-fetch", query("SELECT 1", "--max-fetch", "1")...)
	h.expect(t, exitFailed, "", "not allowed", query("ATTACH '/etc/passwd' AS p")...)
	h.expect(t, exitFailed, "", "one statement at a time", query("SELECT 1; SELECT 2")...)
	h.expect(t, exitNotFound, "", "ffff", query("SELECT 1", "--txid", "ffff")...)

	h.expect(t, exitUsage, "", "--sandbox", "query", replicaURL, "SELECT 1", "--max-rows", "3")
	h.expect(t, exitUsage, "", "64MiB", query("SELECT 1", "--max-memory", "lots")...)
	h.expect(t, exitUsage, "", "--max-fetch", query("SELECT 1", "--max-reqs", "3")...)

	t.Setenv(guest.Env, filepath.Join(t.TempDir(), "nothing"))
	h.expect(t, exitNotFound, "", "no WASI module", query("SELECT 1")...)
}

// TestQuery_SandboxWritesAsQueryDoes: values look the same, whichever way they came. Of reals that need 17 digits SQLite gets the last one wrong
// now and then, and a sandbox does not.
func TestQuery_SandboxWritesAsQueryDoes(t *testing.T) {
	module, err := wasimodule.File(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(guest.Env, module)
	h := &host{store: shop(t)}
	const sql = `SELECT NULL AS a, -7 AS b, 1.0 AS c, 0.1+0.2 AS d, 1e100 AS e, 1e-7 AS f, 123456789012345678.0 AS g, 1e15 AS h, 9e999 AS i, -9e999 AS j,
		2/3.0 > 0.6 AS k, '' AS l, 'ä"b' AS m, x'' AS n, x'00ff' AS o, 100000.5 AS p, 1e14 AS q, 1e16 AS r, 1e17 AS s, 5e-5 AS t, 0.0001 AS u, 1.1 AS v, 2.675 AS w, 1e23 AS x, 123456789012345.678 AS y`
	for _, format := range []string{"csv", "json", "line", "table"} {
		h.run(t, "query", replicaURL, sql, "-f", format)
		want := h.out.String()
		h.expect(t, 0, want, "", "query", replicaURL, sql, "-f", format, "--sandbox")
		if got := h.out.String(); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", format, got, want)
		}
	}
}
