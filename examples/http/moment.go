package main

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/ncruces/go-sqlite3"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/pitr"
)

// moment is one state of the database: all that is asked in its transaction is of the same one.
type moment struct {
	*sql.Tx
	TXID string
	Time time.Time // of its newest transaction, by the writer's clock
}

// errTime: what was asked for is no time.
var errTime = errors.New("not a time")

// at runs f on the database as of a time that somebody has typed; empty is now.
func at(ctx context.Context, db *sql.DB, when string, f func(moment) error) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if when != "" {
		if err := travel(ctx, conn, when); err != nil {
			return err
		}
		defer comeBack(conn)
	}
	err = transaction(ctx, conn, f)
	if errors.Is(err, sqlite3.IOERR) { // SQLite hands on a code, and no more
		err = fmt.Errorf("%w, because of: %w", err, litefss3.Cause(conn, "main"))
	}
	return err
}

// travel sets the time of a connection. A pragma takes no parameters, so what was typed becomes an instant first, and that is written.
func travel(ctx context.Context, conn *sql.Conn, when string) error {
	target, err := pitr.Parse(when, time.Now())
	if err != nil {
		return fmt.Errorf("%w: %w", errTime, err)
	}
	set := "latest"
	if !target.IsLatest() {
		set = target.At.Format(time.RFC3339Nano)
	}
	if _, err := conn.ExecContext(ctx, "PRAGMA litestream_time = '"+set+"'"); err != nil {
		return cmp.Or(litefss3.Cause(conn, "main"), err) // the cause can be told apart from others
	}
	return nil
}

// comeBack makes a connection one of the newest state again. One that cannot is thrown away: the pool would hand the past to others.
func comeBack(conn *sql.Conn) {
	if _, err := conn.ExecContext(context.Background(), "PRAGMA litestream_time = 'latest'"); err != nil {
		conn.Raw(func(any) error { return driver.ErrBadConn }) // which is how a pool is told
	}
}

// transaction reads one state, and finds out first which one that is.
func transaction(ctx context.Context, conn *sql.Conn, f func(moment) error) error {
	tx, err := conn.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var tables int
	if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&tables); err != nil {
		return err // SQLite takes its state with the first read, and not with BEGIN
	}
	var text []byte
	if err := tx.QueryRowContext(ctx, "PRAGMA litestream_status").Scan(&text); err != nil {
		return err
	}
	var status litefss3.Status
	if err := json.Unmarshal(text, &status); err != nil {
		return err
	}
	return f(moment{tx, status.Position.TXID, status.Position.Time})
}
