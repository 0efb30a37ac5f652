package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/render"
	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/sqlrun"
)

// sessionOptions say what of a replica is opened.
type sessionOptions struct {
	time, txid string        // a moment; both empty is the newest one
	maxReqs    int64         // requests that a transaction may need; 0 is no limit
	poll       time.Duration // as in Config
}

// session is a connection to a replica, read-only.
type session struct {
	*sqlrun.Conn
	name   string
	opened time.Duration // how long it took
}

// sessions counts them, to give each a name of its own.
var sessions atomic.Int64

// sessionName is what SQL can attach the replica by: ATTACH 'file:replica?vfs=litefs-s3&time=yesterday' AS past.
func sessionName() string {
	if n := sessions.Add(1); n > 1 {
		return fmt.Sprintf("replica%d", n)
	}
	return "replica"
}

func (c *cli) session(ctx context.Context, replica string, o sessionOptions) (*session, error) {
	conf := c.config(replica)
	conf.PollInterval, conf.MaxReqsPerQuery = o.poll, o.maxReqs
	s := &session{name: sessionName()}
	if err := litefss3.Register(s.name, conf); err != nil {
		return nil, err
	}
	params := url.Values{"vfs": {litefss3.VFS}, "mode": {"ro"}}
	for name, value := range map[string]string{"time": o.time, "txid": o.txid} {
		if value != "" {
			params.Set(name, value)
		}
	}
	start := time.Now()
	var err error
	// Spaces as %20: SQLite does not read + as one.
	uri := "file:" + s.name + "?" + strings.ReplaceAll(params.Encode(), "+", "%20")
	if s.Conn, err = sqlrun.Open(ctx, uri); err != nil {
		litefss3.Unregister(s.name)
		return nil, openError(err)
	}
	s.opened = time.Since(start)
	return s, nil
}

// openError leaves out what SQLite says of every open that fails: the cause says it all.
func openError(err error) error {
	const prefix = "sqlite3: unable to open database file: "
	if text, ok := strings.CutPrefix(err.Error(), prefix); ok {
		return &briefError{text: text, err: err}
	}
	return err
}

// briefError is an error with fewer words.
type briefError struct {
	text string
	err  error
}

func (e *briefError) Error() string { return e.text }

func (e *briefError) Unwrap() error { return e.err }

func (s *session) Close() error {
	defer litefss3.Unregister(s.name)
	return s.Conn.Close()
}

// pragma asks the replica something, or sets it.
func (s *session) pragma(ctx context.Context, name, value string) (string, error) {
	sql := "PRAGMA litestream_" + name
	if value != "" {
		sql += " = '" + strings.ReplaceAll(value, "'", "''") + "'"
	}
	rows, err := s.Strings(ctx, sql)
	if e, ok := errors.AsType[*sqlrun.CauseError](err); ok {
		return "", e.Cause // without the name of the pragma, which nobody typed
	}
	if err != nil || len(rows) == 0 {
		return "", err
	}
	return rows[0], nil
}

// status is what PRAGMA litestream_status tells.
func (s *session) status(ctx context.Context) (litefss3.Status, error) {
	var st litefss3.Status
	text, err := s.pragma(ctx, "status", "")
	if err != nil {
		return st, err
	}
	return st, json.Unmarshal([]byte(text), &st)
}

// stats are what something cost.
type stats struct {
	Gets    int64   `json:"get"`
	Lists   int64   `json:"list"`
	Others  int64   `json:"other"`
	Bytes   int64   `json:"bytes"`
	Waves   int64   `json:"waves"`
	Opened  float64 `json:"open_seconds,omitempty"`
	Ran     float64 `json:"run_seconds"`
	Dollars float64 `json:"estimated_dollars"` // at AWS's prices for requests
}

// statsBetween is the cost between two looks at the status.
func statsBetween(before, after litefss3.Status, ran time.Duration) stats {
	b, a := before.Requests, after.Requests
	return stats{
		Gets: a.Get - b.Get, Lists: a.List - b.List, Others: a.Put - b.Put + a.Delete - b.Delete,
		Bytes: a.Bytes - b.Bytes, Waves: a.Waves - b.Waves, Dollars: a.Dollars - b.Dollars, Ran: ran.Seconds(),
	}
}

// writeStats writes what a statement cost.
func (c *cli) writeStats(w io.Writer, s stats) error {
	if c.json {
		return json.NewEncoder(w).Encode(s)
	}
	took := render.Duration(time.Duration(s.Ran * float64(time.Second)))
	if s.Opened > 0 {
		took = fmt.Sprintf("open %s, run %s", render.Duration(time.Duration(s.Opened*float64(time.Second))), took)
	}
	_, err := fmt.Fprintln(w, c.screen(w).Paint(render.Dim, fmt.Sprintf("stats: %s (%d get, %d list) in %s, %s; %s",
		render.Count(s.Gets+s.Lists+s.Others, "request"), s.Gets, s.Lists, render.Count(s.Waves, "wave"), render.Bytes(s.Bytes), took)))
	return err
}
