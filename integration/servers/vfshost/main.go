// Command vfshost runs SQL in the C SQLite, with loadable extensions, for whoever talks to it by its standard input and
// output: one JSON command on a line, one JSON answer on a line. It is a module of its own, so that nothing else of the project
// needs cgo:
//
//	{"do":"load","name":"litestream-vfs.so"}             load an extension that stays loaded
//	{"do":"open","name":"file:app.db?vfs=litestream"}    open a connection
//	{"do":"query","name":"SELECT … WHERE id = ?","args":[7,8]}   prepare once, run once for each argument, or once without any
//	{"do":"close"}                                       close the connection
//
// An answer is {"rows":["…"],"ns":[…],"total":…} with the first column of the first row and the time of each run, or
// {"err":"…"}.
package main

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/mattn/go-sqlite3"
)

// command is one line of input.
type command struct {
	Do   string  `json:"do"`
	Name string  `json:"name"`
	Args []int64 `json:"args"`
}

// answer is one line of output.
type answer struct {
	Rows  []string `json:"rows,omitempty"`
	NS    []int64  `json:"ns,omitempty"`
	Total int64    `json:"total"` // nanoseconds of the whole command
	Err   string   `json:"err,omitempty"`
}

func main() {
	out := json.NewEncoder(os.Stdout)
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 16<<20)
	h := host{ctx: context.Background()}
	for in.Scan() {
		var c command
		if err := json.Unmarshal(in.Bytes(), &c); err != nil {
			fmt.Fprintf(os.Stderr, "vfshost: command: %v\n", err)
			os.Exit(1)
		}
		start := time.Now()
		a, err := h.do(c)
		a.Total = time.Since(start).Nanoseconds()
		if err != nil {
			a.Err = err.Error()
		}
		if err := out.Encode(a); err != nil {
			os.Exit(1) // nobody listens any more
		}
	}
}

// host is the connection that is open.
type host struct {
	ctx  context.Context
	db   *sql.DB
	conn *sql.Conn
}

func (h *host) do(c command) (answer, error) {
	switch c.Do {
	case "load":
		return answer{}, h.load(c.Name)
	case "open":
		return answer{}, h.open(c.Name)
	case "query":
		return h.query(c.Name, c.Args)
	case "close":
		return answer{}, h.close()
	}
	return answer{}, fmt.Errorf("unknown command %q", c.Do)
}

// load loads an extension by way of a connection that is closed again. The extension stays.
func (h *host) load(path string) error {
	sql.Register("loading", &sqlite3.SQLiteDriver{Extensions: []string{path}})
	db, err := sql.Open("loading", ":memory:")
	if err != nil {
		return err
	}
	return errors.Join(db.PingContext(h.ctx), db.Close())
}

func (h *host) open(name string) (err error) {
	if h.conn != nil {
		return errors.New("a connection is open already")
	}
	if h.db, err = sql.Open("sqlite3", name); err != nil {
		return err
	}
	h.conn, err = h.db.Conn(h.ctx)
	return err
}

func (h *host) query(text string, args []int64) (a answer, err error) {
	stmt, err := h.conn.PrepareContext(h.ctx, text)
	if err != nil {
		return a, err
	}
	defer stmt.Close()
	if len(args) == 0 {
		err = h.run(&a, stmt)
	}
	for _, arg := range args {
		if err := h.run(&a, stmt, arg); err != nil {
			return a, err
		}
	}
	return a, err
}

func (h *host) run(a *answer, stmt *sql.Stmt, args ...any) error {
	var text string
	start := time.Now()
	if err := stmt.QueryRowContext(h.ctx, args...).Scan(&text); err != nil {
		return err
	}
	a.NS, a.Rows = append(a.NS, time.Since(start).Nanoseconds()), append(a.Rows, text)
	return nil
}

func (h *host) close() error {
	err := errors.Join(h.conn.Close(), h.db.Close())
	h.db, h.conn = nil, nil
	return err
}
