package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/litefs-s3/litefs-s3/examples/internal/world"
)

func TestMain(m *testing.M) { world.Main(m, main) }

func TestDiff(t *testing.T) {
	w := world.New(t)
	source := w.Litestream(t, "app")
	source.Exec(t, `CREATE TABLE accounts(id INTEGER PRIMARY KEY, "the owner" TEXT, balance, note)`)
	source.Exec(t, "CREATE TABLE pairs(a, b, n, PRIMARY KEY(a, b)) WITHOUT ROWID")
	source.Exec(t, "CREATE TABLE log(line)")
	source.Exec(t, "WITH n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n WHERE i < 3000) INSERT INTO accounts SELECT i, 'owner '||i, 100, NULL FROM n")
	source.Exec(t, "INSERT INTO pairs VALUES (1, 'x', 1), (1, 'y', 2)")
	source.Exec(t, "INSERT INTO log VALUES ('begin')")
	source.Sync(t)
	from := time.Now().UTC().Format(time.RFC3339Nano)
	time.Sleep(20 * time.Millisecond)
	source.Exec(t, "UPDATE accounts SET balance = 70 WHERE id = 17")
	source.Exec(t, "UPDATE accounts SET note = x'c0ffee' WHERE id = 2500")
	source.Exec(t, "DELETE FROM accounts WHERE id = 1000")
	source.Exec(t, "INSERT INTO accounts VALUES (3001, 'new', 0.5, NULL)")
	source.Exec(t, "UPDATE pairs SET n = NULL WHERE b = 'y'")
	source.Exec(t, "INSERT INTO log VALUES ('end')")
	source.Exec(t, "CREATE TABLE later(x)")
	source.Sync(t)
	to := time.Now().UTC().Format("2006-01-02 15:04:05.999999999Z07:00")
	time.Sleep(20 * time.Millisecond)
	source.Exec(t, "DELETE FROM accounts")
	source.Sync(t)

	a, err := attach(t.Context(), w.URL("app"), from, to)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	for table, want := range map[string][]change{
		"accounts": {
			{"changed", "[17]", `[17,"owner 17",100,null]`, `[17,"owner 17",70,null]`},
			{"changed", "[2500]", `[2500,"owner 2500",100,null]`, `[2500,"owner 2500",100,"C0FFEE"]`},
			{"added", "[3001]", "null", `[3001,"new",0.5,null]`},
			{"removed", "[1000]", `[1000,"owner 1000",100,null]`, "null"},
		},
		"pairs": {{"changed", `[1,"y"]`, `[1,"y",2]`, `[1,"y",null]`}},
		"log":   {{"added", "[2]", "null", `["end"]`}},
	} {
		got, err := compare(t.Context(), a, table)
		if err != nil {
			t.Fatal(err)
		}
		order := func(x, y change) int { return strings.Compare(x.Key, y.Key) }
		slices.SortFunc(want, order)
		if !slices.Equal(got, want) {
			t.Errorf("%s:\ngot  %v\nwant %v", table, got, want)
		}
	}
	for table, says := range map[string]string{"later": "is new", "nothing": "no such table"} {
		if _, err := compare(t.Context(), a, table); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", table, err)
		}
	}
	if _, err := attach(t.Context(), w.URL("app"), "2001-01-01", "latest"); err == nil {
		t.Error("a time before the first one is no error")
	}
	if _, err := attach(t.Context(), w.URL("app"), "the day before", "latest"); err == nil {
		t.Error("a time that is none is no error")
	}
}

// The command itself.
func TestCommand(t *testing.T) {
	w := world.New(t)
	source := w.Litestream(t, "app")
	source.Exec(t, "CREATE TABLE t(x)")
	source.Sync(t)
	from := time.Now().UTC().Format(time.RFC3339Nano)
	time.Sleep(20 * time.Millisecond)
	source.Exec(t, "INSERT INTO t VALUES (1)")
	source.Sync(t)
	p := w.Run(t, nil, "-replica", w.URL("app"), "-from", from, "t")
	if got := p.Wait(t); got != "added t [1]: null -> [1]\n" {
		t.Errorf("it printed %q", got)
	}
}
