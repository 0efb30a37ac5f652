package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"log"
	"time"

	_ "github.com/ncruces/go-sqlite3/driver" // the primary is a plain SQLite file

	"github.com/litefs-s3/litefs-s3/integration/sample"
	"github.com/litefs-s3/litefs-s3/integration/servers"
	"github.com/litefs-s3/litefs-s3/objstore"
)

const (
	liveBucket = "live"
	rows       = 20_000
)

const schema = `
CREATE TABLE numbers(id INTEGER PRIMARY KEY, name TEXT, square INTEGER);
WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n LIMIT 20000)
INSERT INTO numbers SELECT i, 'number ' || i || hex(randomblob(20)), i*i FROM n;
CREATE TABLE kinds(id INTEGER PRIMARY KEY, value);
INSERT INTO kinds(value) VALUES (NULL), (42), (-9007199254740991), (9223372036854775807), (1.5), ('Grüße 🙂'), (''), (x'00ff10'), (x'');
CREATE TABLE ticks(id INTEGER PRIMARY KEY, at TEXT NOT NULL)`

// source is the primary, with a Litestream beside it.
type source struct {
	db     *sql.DB
	daemon *servers.Litestream
}

// openSource makes the primary and waits until its replica is in the bucket, which everybody may read.
func openSource(ctx context.Context, s3 servers.S3, path string) (*source, error) {
	db, err := sample.OpenSource(path)
	if err != nil {
		return nil, err
	}
	if _, err := db.ExecContext(ctx, schema); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if err := errors.Join(s3.CreateBucket(ctx, liveBucket), s3.AllowAnonymous(ctx, liveBucket, "s3:GetObject", "s3:ListBucket")); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	daemon, err := servers.OpenLitestream(ctx, servers.LitestreamOptions{
		DB: path, S3: s3, Bucket: liveBucket, Path: "app",
		Levels: []time.Duration{2 * time.Second, 10 * time.Second}, MonitorInterval: 100 * time.Millisecond, SyncInterval: 100 * time.Millisecond,
	})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	s := &source{db, daemon}
	for range 5 { // some past to travel to
		if err := s.tick(ctx); err != nil {
			return nil, errors.Join(err, s.close())
		}
		if _, err := daemon.Sync(ctx); err != nil {
			return nil, errors.Join(err, s.close())
		}
	}
	return s, nil
}

func (s *source) close() error { return errors.Join(s.daemon.Close(), s.db.Close()) }

func (s *source) tick(ctx context.Context) error {
	_, err := s.db.ExecContext(ctx, "INSERT INTO ticks(at) VALUES (strftime('%Y-%m-%dT%H:%M:%fZ'))")
	return err
}

// keepWriting commits four times a second until ctx ends.
func (s *source) keepWriting(ctx context.Context) {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := s.tick(ctx); err != nil && ctx.Err() == nil {
				log.Print(err)
			}
		}
	}
}

// copyReplica copies the live replica as it is now into another bucket, and into a store.
func copyReplica(ctx context.Context, s3 servers.S3, bucket string, store objstore.Putter) error {
	if err := s3.CreateBucket(ctx, bucket); err != nil {
		return err
	}
	objects, err := s3.List(ctx, liveBucket, "app/")
	if err != nil {
		return err
	}
	for _, o := range objects {
		data, err := s3.Get(ctx, liveBucket, o.Key)
		if err != nil {
			return err
		}
		if err := s3.Put(ctx, bucket, o.Key, data, nil); err != nil {
			return err
		}
		if _, err := store.Put(ctx, o.Key, bytes.NewReader(data), objstore.PutOptions{}); err != nil {
			return err
		}
	}
	return nil
}
