package main

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	_ "github.com/ncruces/go-sqlite3/driver"

	"github.com/superfly/ltx"

	"github.com/litefs-s3/litefs-s3/examples/internal/world"
	"github.com/litefs-s3/litefs-s3/integration/servers"
	"github.com/litefs-s3/litefs-s3/integration/slowproxy"
)

func TestMain(m *testing.M) { world.Main(m, main) }

// client writes notes to whichever process takes them.
type client struct {
	t     *testing.T
	nodes []*world.Process
	acked map[int]string
	next  int
}

// write sends a note until somebody says that it is stored, and says who that was.
func (c *client) write() (by int) {
	c.t.Helper()
	c.next++
	text := fmt.Sprint("note ", c.next)
	began := time.Now()
	for try := 0; ; try++ {
		by := try % len(c.nodes)
		a, err := c.nodes[by].Ask(http.MethodPut, fmt.Sprintf("/notes/%d", c.next), text)
		if err == nil && a.Status == http.StatusNoContent {
			c.acked[c.next] = text
			return by
		}
		if time.Since(began) > 2*time.Minute {
			c.t.Fatalf("nobody has taken note %d for two minutes: %v %d %s", c.next, err, a.Status, a.Body)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// The writer is killed again and again while notes are written. Each that was acknowledged is there, also for an unmodified Litestream,
// and no transaction number was given twice.
func TestFailover(t *testing.T) {
	kills := 4
	if testing.Short() {
		kills = 2
	}
	w := world.New(t)
	dir := t.TempDir()
	start := func(name string) *world.Process {
		return w.Start(t, "-replica", w.URL("app"), "-name", name, "-addr", "127.0.0.1:0",
			"-buffer", filepath.Join(dir, name), "-ttl", "1500ms")
	}
	c := &client{t: t, acked: map[int]string{}}
	names := []string{"a", "b"}
	c.nodes = []*world.Process{start("a"), start("b")}
	for range kills {
		writes := c.write()
		old, before, last := c.nodes[writes], c.next, time.Now()
		kill := time.AfterFunc(time.Duration(rand.IntN(150))*time.Millisecond, old.Kill) // most often in the middle of a write
		for c.write() == writes {
			last = time.Now()
		}
		kill.Stop()
		old.Kill() // if it has lost the lease before it was killed
		t.Logf("%s was killed after %d more writes; %s wrote %s after its last one", names[writes], c.next-1-before, names[1-writes],
			time.Since(last).Round(10*time.Millisecond))
		c.nodes[writes] = start(names[writes])
		checkNotes(t, c)
	}
	for _, node := range c.nodes {
		node.Stop(t)
	}
	checkTXIDs(t, w, 2*kills)
	checkRestored(t, w, c)
}

// A writer is cut off from the store in the middle of a write, another one takes over and goes on, and the first one dies. When it comes
// back it finds a commit in its log that nobody was promised. It sets that aside, and serves.
func TestCutOff(t *testing.T) {
	w := world.New(t)
	dir := t.TempDir()
	proxy, err := slowproxy.New(w.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { proxy.Close() })
	start := func(name, endpoint string) *world.Process {
		s3 := w.S3
		s3.Endpoint = endpoint
		return w.Start(t, "-replica", s3.URL(w.Name, "app"), "-name", name, "-addr", "127.0.0.1:0",
			"-buffer", filepath.Join(dir, name), "-ttl", "4s")
	}
	a := start("a", proxy.URL())
	c := &client{t: t, acked: map[int]string{}, nodes: []*world.Process{a}}
	c.write()
	b := start("b", w.Endpoint)
	proxy.Set(slowproxy.Settings{HangRate: 1})
	answered := make(chan error, 1)
	go func() {
		answer, err := a.Ask(http.MethodPut, "/notes/99", "lost")
		if err == nil && answer.Status == http.StatusNoContent {
			err = errAcknowledged
		}
		answered <- err
	}()
	world.Eventually(t, func() error { // a transaction of the same process sees it as soon as it is in the log
		answer, err := a.Ask(http.MethodGet, "/notes", "")
		if err != nil || !strings.Contains(answer.Body, "lost") {
			return fmt.Errorf("%v %s", err, answer.Body)
		}
		return nil
	})
	c.nodes = []*world.Process{b}
	c.write()
	a.Kill()
	if err := <-answered; errors.Is(err, errAcknowledged) {
		t.Error("a write was acknowledged that cannot be in the bucket")
	}
	proxy.Set(slowproxy.Settings{})
	a = start("a", proxy.URL())
	if !strings.Contains(a.Printed(), "are set aside") {
		t.Errorf("it does not say what became of the commit:\n%s", a.Printed())
	}
	c.nodes = []*world.Process{a, b}
	checkNotes(t, c)
	checkTXIDs(t, w, 2)
	checkRestored(t, w, c)
}

// errAcknowledged: a client was told that its note is stored.
var errAcknowledged = errors.New("acknowledged")

// checkNotes compares what both processes read with what was acknowledged.
func checkNotes(t *testing.T, c *client) {
	t.Helper()
	for _, node := range c.nodes {
		world.Eventually(t, func() error { // who does not write follows
			a, err := node.Ask(http.MethodGet, "/notes", "")
			if err != nil || a.Status != 200 {
				return fmt.Errorf("%v %d %s", err, a.Status, a.Body)
			}
			var got map[int]string
			if err := json.Unmarshal([]byte(a.Body), &got); err != nil {
				return err
			}
			return compare(got, c.acked)
		})
	}
}

func compare(got, want map[int]string) error {
	for id, text := range want {
		if got[id] != text {
			return fmt.Errorf("note %d was acknowledged as %q and is %q", id, text, got[id])
		}
	}
	if len(got) != len(want) {
		return fmt.Errorf("%d notes were acknowledged, and %d are there", len(want), len(got))
	}
	return nil
}

// checkTXIDs looks at the files of single transactions: each number once, none left out.
func checkTXIDs(t *testing.T, w *world.World, least int) {
	t.Helper()
	files, err := servers.ListLTX(t.Context(), w.S3, w.Name, "app")
	if err != nil {
		t.Fatal(err)
	}
	var txids []ltx.TXID
	for _, f := range files {
		if f.Level != 0 {
			continue
		}
		if f.Min != f.Max {
			t.Errorf("%s holds more than one transaction", f.Key)
		}
		txids = append(txids, f.Min)
	}
	slices.Sort(txids)
	for i, txid := range txids {
		if want := txids[0] + ltx.TXID(i); txid != want {
			t.Fatalf("transaction %s follows where %s should: %v", txid, want, txids)
		}
	}
	if len(txids) < least {
		t.Errorf("only %d transactions are in the bucket", len(txids))
	}
}

// checkRestored asks an unmodified Litestream.
func checkRestored(t *testing.T, w *world.World, c *client) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "restored.db")
	if err := servers.LitestreamRestore(t.Context(), w.S3, w.URL("app"), path, servers.RestoreOptions{}); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite3", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var all []byte
	var got map[int]string
	if err := db.QueryRow("SELECT json_group_object(id, text) FROM notes").Scan(&all); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(all, &got); err != nil {
		t.Fatal(err)
	}
	if err := compare(got, c.acked); err != nil {
		t.Errorf("restored by Litestream: %v", err)
	}
	var sound string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&sound); err != nil || sound != "ok" {
		t.Errorf("integrity_check: %s (%v)", sound, err)
	}
}
