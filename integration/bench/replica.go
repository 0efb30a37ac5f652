package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"time"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/objstore"
)

// database is a pool with one connection that is open.
type database struct {
	db   *sql.DB
	conn *sql.Conn
}

func (d *database) close() error {
	var err error
	if d.conn != nil {
		err = d.conn.Close()
	}
	return errors.Join(err, d.db.Close())
}

// connect opens a connection of the pool, and closes the pool if it cannot.
func connect(ctx context.Context, db *sql.DB) (_ *database, err error) {
	d := &database{db: db}
	if d.conn, err = db.Conn(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return d, nil
}

// config is the reader's: nothing but the defaults, and no polls, which would be counted among a measurement's requests.
func (b *bench) config() litefss3.Config {
	return litefss3.Config{ReplicaURL: b.Data.url(b.Endpoint), PollInterval: -1}
}

// open opens the replica with nothing of it in memory: no two are open at once, and what is closed is forgotten.
func (b *bench) open(ctx context.Context, c litefss3.Config) (*database, error) {
	db, err := litefss3.OpenDB(c)
	if err != nil {
		return nil, err
	}
	return connect(ctx, db)
}

// schema makes SQLite read its schema, which it does with the first statement.
func (d *database) schema(ctx context.Context) error {
	var n int
	return d.conn.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&n)
}

// status is PRAGMA litestream_status.
func (d *database) status(ctx context.Context) (litefss3.Status, error) {
	var text string
	var s litefss3.Status
	if err := d.conn.QueryRowContext(ctx, "PRAGMA litestream_status").Scan(&text); err != nil {
		return s, err
	}
	return s, json.Unmarshal([]byte(text), &s)
}

// ready opens the replica, has the schema read, and sets the counters to zero.
func (b *bench) ready(ctx context.Context, c litefss3.Config) (*database, error) {
	d, err := b.open(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(d.schema(ctx), b.proxy.reset(ctx)); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

// openLocal opens the database as a plain file with the same driver; mode is ro or rw.
func openLocal(ctx context.Context, path, mode string) (*database, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	uri := url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(abs), RawQuery: "mode=" + mode}
	db, err := sql.Open("sqlite3", uri.String())
	if err != nil {
		return nil, err
	}
	return connect(ctx, db)
}

// store is the replica's store as the reader uses it, retries and limits included.
func (b *bench) store(ctx context.Context) (objstore.Store, error) {
	store, _, err := litefss3.OpenStore(ctx, b.config())
	return store, err
}

// lookup is a statement with one number for an argument and one row for an answer.
type lookup struct{ stmt *sql.Stmt }

func (d *database) lookup(ctx context.Context, query string) (lookup, error) {
	stmt, err := d.conn.PrepareContext(ctx, query)
	return lookup{stmt}, err
}

// close must come before that of the connection.
func (l lookup) close() error { return l.stmt.Close() }

func (l lookup) row(ctx context.Context, arg int) error {
	var text string
	if err := l.stmt.QueryRowContext(ctx, arg).Scan(&text); err != nil {
		return fmt.Errorf("row %d: %w", arg, err)
	}
	return nil
}

// timer tells how long something took, in time and in time of processors.
type timer struct {
	start time.Time
	cpu   time.Duration
}

func startTimer() timer { return timer{time.Now(), cpuTime()} }

func (t timer) stop() (took, cpu time.Duration) { return time.Since(t.start), cpuTime() - t.cpu }
