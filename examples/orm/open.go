package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/glebarez/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	litefss3 "github.com/litefs-s3/litefs-s3"
)

// open returns GORM on a pool of a replica's connections, which the caller closes.
func open(ctx context.Context, c litefss3.Config) (*gorm.DB, *sql.DB, error) {
	pool, err := litefss3.OpenDB(c)
	if err != nil {
		return nil, nil, err
	}
	if err := pool.PingContext(ctx); err != nil {
		return nil, nil, errors.Join(err, pool.Close())
	}
	db, err := on(pool)
	if err != nil {
		return nil, nil, errors.Join(err, pool.Close())
	}
	return db, pool, nil
}

// on returns GORM on connections that are open already: those of a pool, or a single one.
func on(conns gorm.ConnPool) (*gorm.DB, error) {
	return gorm.Open(sqlite.Dialector{Conn: conns}, &gorm.Config{Logger: logger.Default.LogMode(logger.Silent)})
}

// at runs f on the database as it was at an instant (RFC 3339). A time is a connection's, so f gets GORM on one connection.
func at(ctx context.Context, pool *sql.DB, instant string, f func(*gorm.DB) error) (err error) {
	conn, err := pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() {
		_, back := conn.ExecContext(context.WithoutCancel(ctx), "PRAGMA litestream_time = latest")
		err = errors.Join(err, back, conn.Close())
	}()
	if _, err := conn.ExecContext(ctx, "PRAGMA litestream_time = '"+instant+"'"); err != nil {
		return fmt.Errorf("at %s: %w", instant, err)
	}
	db, err := on(conn)
	if err != nil {
		return err
	}
	return f(db.WithContext(ctx))
}
