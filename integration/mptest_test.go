package integration

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/integration/primary"
	"github.com/litefs-s3/litefs-s3/integration/servers"
)

// multiTest runs the scripts of SQLite's own test of several clients, mptest, as its clients do: each task on the connection of its client, one
// after the other, and those of different clients at once. A client that the script lets crash loses its connection in the middle of a
// transaction.
type multiTest struct {
	t       *testing.T
	db      *sql.DB
	scripts string // directory
	clients map[string]*testClient
	busy    sync.WaitGroup

	statements, matches, crashes atomic.Int64
}

// testClient is one client. Its goroutine ends with its queue.
type testClient struct {
	name  string
	tasks chan []string
	idle  sync.WaitGroup // what it was given is not done yet
	conn  *sql.Conn      // nil until it is needed, and after a crash
}

// sqliteScripts is where the driver's module keeps SQLite's scripts.
func sqliteScripts(t *testing.T) string {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/ncruces/go-sqlite3").Output()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(strings.TrimSpace(string(dir)), "vfs", "tests", "mptest", "testdata")
}

var scriptComment = regexp.MustCompile(`(?s)/\*.*?\*/`)

// lines are those of a script, with the scripts that it sources in their places.
func (m *multiTest) lines(script string) (lines []string) {
	m.t.Helper()
	text, err := os.ReadFile(filepath.Join(m.scripts, script))
	if err != nil {
		m.t.Fatal(err)
	}
	for line := range strings.Lines(scriptComment.ReplaceAllString(string(text), "")) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "--source "); ok {
			lines = append(lines, m.lines(name)...)
		} else if line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// run runs a script: what is not within a task is done here, while no task that was waited for is under way.
func (m *multiTest) run(script string) {
	main := &testClient{name: "main"}
	defer m.end(main)
	var own []string
	flush := func() {
		if err := m.do(main, own); err != nil {
			m.t.Errorf("%s: %v", script, err)
		}
		own = nil
	}
	for lines := m.lines(script); len(lines) > 0 && !m.t.Failed(); lines = lines[1:] {
		command, args, _ := strings.Cut(lines[0], " ")
		switch command {
		case "--task":
			flush()
			n := 1
			for lines[n] != "--end" {
				n++
			}
			name, _, _ := strings.Cut(args, " ")
			m.give(name, lines[1:n])
			lines = lines[n:]
		case "--wait":
			flush()
			m.wait(args)
		default:
			own = append(own, lines[0])
		}
	}
	m.wait("all")
	flush()
}

// give hands a client a task.
func (m *multiTest) give(name string, task []string) {
	c := m.clients[name]
	if c == nil {
		c = &testClient{name: name, tasks: make(chan []string, 100)}
		m.clients[name] = c
		m.busy.Go(func() {
			defer m.end(c)
			for task := range c.tasks {
				if err := m.do(c, task); err != nil {
					m.t.Errorf("client %s: %v", c.name, err)
				}
				c.idle.Done()
			}
		})
	}
	c.idle.Add(1)
	c.tasks <- task
}

// wait waits for a client, or for all.
func (m *multiTest) wait(name string) {
	name, _, _ = strings.Cut(name, " ")
	for of, c := range m.clients {
		if of == name || name == "all" {
			c.idle.Wait()
		}
	}
}

// do carries a task out. Statements gather until the next command asks for what they returned.
func (m *multiTest) do(c *testClient, task []string) error {
	var query strings.Builder
	var got []string
	ask := func() error {
		if query.Len() == 0 {
			return nil
		}
		defer query.Reset()
		rows, err := m.query(c, query.String())
		got = append(got, rows...)
		if err != nil {
			return fmt.Errorf("%w in %s", err, query.String())
		}
		return nil
	}
	for _, line := range task {
		command, args, _ := strings.Cut(line, " ")
		if !strings.HasPrefix(line, "--") {
			query.WriteString(line + "\n")
			continue
		}
		last := query.String()
		if err := ask(); err != nil {
			return err
		}
		switch command {
		case "--match":
			if result := strings.Join(got, " "); result != strings.TrimSpace(args) {
				return fmt.Errorf("got %q, want %q, of %s", result, args, last)
			}
			got = nil
			m.matches.Add(1)
		case "--sleep":
			ms, err := strconv.Atoi(args)
			if err != nil {
				return err
			}
			time.Sleep(time.Duration(ms) * time.Millisecond)
		case "--exit":
			return m.crash(c)
		case "--finish", "--print", "--testcase": // others may go on already: here they do anyway
		default:
			return fmt.Errorf("this test does not know %s", command)
		}
	}
	return ask()
}

// query runs statements and returns all that they return.
func (m *multiTest) query(c *testClient, query string) (values []string, err error) {
	if c.conn == nil {
		if c.conn, err = m.db.Conn(context.Background()); err != nil {
			return nil, err
		}
	}
	err = c.conn.Raw(func(conn any) error {
		db := conn.(interface{ Raw() *sqlite3.Conn }).Raw()
		if err := db.BusyTimeout(time.Minute); err != nil {
			return err
		}
		for strings.TrimSpace(query) != "" {
			stmt, tail, err := db.Prepare(query)
			if err != nil {
				return err
			}
			query = tail
			if stmt == nil {
				continue
			}
			for stmt.Step() {
				for i := range stmt.ColumnCount() {
					values = append(values, stmt.ColumnText(i))
				}
			}
			if err := stmt.Close(); err != nil {
				return err
			}
			m.statements.Add(1)
		}
		return nil
	})
	return values, err
}

// crash lets a client's connection end as it is.
func (m *multiTest) crash(c *testClient) error {
	m.crashes.Add(1)
	err := c.conn.Raw(func(any) error { return driver.ErrBadConn })
	c.conn = nil
	if !errors.Is(err, driver.ErrBadConn) {
		return fmt.Errorf("end of the connection: %w", err)
	}
	return nil
}

// end gives a client's connection back.
func (m *multiTest) end(c *testClient) {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// TestMultiTest runs SQLite's scripts in which five clients write at once, and in which one of them dies in the middle of a transaction again and
// again, here on a replica in a bucket. What they leave is sound, and a reader of the bucket sees it.
func TestMultiTest(t *testing.T) {
	t.Parallel()
	minio := servers.StartMinIO(t)
	setEnv(t, minio)
	for _, script := range []string{"multiwrite01.test", "crash01.test"} {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			url := minio.URL(minio.Bucket(t), "apps/mptest")
			c := writerConfig(url, filepath.Join(t.TempDir(), "log"))
			c.LeaseTTL = time.Minute // no time passes for the test alone on a busy machine
			db, err := litefss3.OpenDB(c)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			m := &multiTest{t: t, db: db, scripts: sqliteScripts(t), clients: map[string]*testClient{}}
			m.run(script)
			for _, c := range m.clients {
				close(c.tasks)
			}
			m.busy.Wait()
			if t.Failed() {
				return
			}
			execute(t, db, "PRAGMA litestream_sync")
			want := primary.Dump(t, db)
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			reader, err := litefss3.OpenDB(litefss3.Config{ReplicaURL: url, PollInterval: -1})
			if err != nil {
				t.Fatal(err)
			}
			defer reader.Close()
			var check string
			if err := reader.QueryRow("PRAGMA integrity_check").Scan(&check); err != nil || check != "ok" {
				t.Errorf("integrity: %s, %v", check, err)
			}
			if got := primary.Dump(t, reader); got != want {
				t.Errorf("a reader sees another database than the writers left")
			}
			t.Logf("%d statements of %d clients, %d results, %d crashes", m.statements.Load(), len(m.clients), m.matches.Load(), m.crashes.Load())
			if m.matches.Load() == 0 || (m.crashes.Load() > 0) != (script == "crash01.test") {
				t.Error("the script was not run")
			}
		})
	}
}
