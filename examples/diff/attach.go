package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"

	_ "github.com/ncruces/go-sqlite3/driver"

	litefss3 "github.com/litefs-s3/litefs-s3"
)

// attached is one connection that sees a replica at two moments: as the schemas before and after.
type attached struct {
	*sql.Conn
	pool *sql.DB
}

// attach opens an empty database in memory and attaches the replica to it twice.
func attach(ctx context.Context, replica, from, to string) (*attached, error) {
	pool, err := sql.Open("sqlite3", "file::memory:")
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(1) // what is attached is a connection's
	conn, err := pool.Conn(ctx)
	if err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	a := &attached{conn, pool}
	for schema, when := range map[string]string{"before": from, "after": to} {
		if _, err := conn.ExecContext(ctx, "ATTACH ? AS "+schema, uri(replica, when)); err != nil {
			return nil, errors.Join(fmt.Errorf("at %q: %w", when, err), a.Close())
		}
	}
	return a, nil
}

// uri is that of a replica at a moment. SQLite reads %20 as a space, and + as a plus.
func uri(replica, when string) string {
	query := url.Values{"vfs": {litefss3.VFS}, "replica_url": {replica}, "time": {when}}
	return "file:app.db?" + strings.ReplaceAll(query.Encode(), "+", "%20")
}

func (a *attached) Close() error { return errors.Join(a.Conn.Close(), a.pool.Close()) }
