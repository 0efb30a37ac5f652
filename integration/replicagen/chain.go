package replicagen

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/litefs-s3/litefs-s3/integration/sample"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/superfly/ltx"
)

// SnapshotLevel is the level of files that are made as a snapshot rather than by merging.
const SnapshotLevel = 9

// topLevel is the highest level that is made by merging.
const topLevel = 3

// Options say what the chain looks like. The zero value is the one in the package's description.
type Options struct {
	// Prefix is the replica's path in the store, without a slash at its end. Empty means the root of the store.
	Prefix string
	// Files is the number of files that make up the newest state, snapshot included. Zero means 40.
	Files int
	// Base is the level of the first file, which holds the whole database: 9, or 1 to 3 for a replica whose plan begins
	// with the first merged file of that level. Zero means 9.
	Base int
	// Spans are the TXIDs in one file of levels 0 to 3. Each must be a multiple of the one before. The first is 1. Zero
	// means 1, 5, 20, 100.
	Spans [topLevel + 1]int
	// Inputs adds the files of lower levels that those of levels 1 to 3 were merged from, as a replica has them until
	// retention removes them. The base has none.
	Inputs bool
	// Start is the timestamp of TXID 1, and Step the time from each TXID to the next. Zero means 2026-01-01 00:00 UTC
	// and one second. These are the true times; the store's modification times are when Chain ran, so litestream
	// restore -timestamp, which looks at those first, refuses them.
	Start time.Time
	Step  time.Duration
	// Image, when not nil, names the file that the database as of the last TXID of a file of the plan is written to;
	// an empty name means none.
	Image func(txid ltx.TXID) string
}

func (o Options) withDefaults() Options {
	if o.Files == 0 {
		o.Files = 40
	}
	if o.Base == 0 {
		o.Base = SnapshotLevel
	}
	if o.Spans == [topLevel + 1]int{} {
		o.Spans = [...]int{1, 5, 20, 100}
	}
	if o.Start.IsZero() {
		o.Start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	if o.Step == 0 {
		o.Step = time.Second
	}
	return o
}

func (o Options) validate() error {
	if o.Base != SnapshotLevel && (o.Base < 1 || o.Base > topLevel) {
		return fmt.Errorf("base level %d: want 9, 1, 2 or 3", o.Base)
	}
	if o.Files < 1 {
		return fmt.Errorf("%d files: want at least one", o.Files)
	}
	for level := 1; level < len(o.Spans); level++ {
		if o.Spans[0] != 1 || o.Spans[level] < 1 || o.Spans[level]%o.Spans[level-1] != 0 {
			return fmt.Errorf("spans %v: want 1 first and each a multiple of the one before", o.Spans)
		}
	}
	return nil
}

// time is the timestamp of a TXID.
func (o Options) time(txid ltx.TXID) time.Time {
	return o.Start.Add(time.Duration(txid-1) * o.Step).UTC()
}

// counts returns how many files of levels 0 to 3 follow the base: about half are L0, a quarter L1, and so on. Levels
// above the base have none, because nothing was merged that far yet.
func (o Options) counts() [topLevel + 1]int {
	var n [topLevel + 1]int
	rest := o.Files - 1
	n[0] = rest
	for level, share := range map[int]int{1: 10, 2: 6, 3: 3} {
		if level <= o.Base {
			n[level] = rest * share / 39
			n[0] -= n[level]
		}
	}
	return n
}

// File is one LTX file that was written.
type File struct {
	Level    int
	Min, Max ltx.TXID
	Key      string
	Size     int64     // bytes
	Time     time.Time // in the header and in the metadata
}

// Replica describes what Chain wrote.
type Replica struct {
	Plan     []File // the files that make up the newest state, in order
	Inputs   []File // others, see Options.Inputs
	TXID     ltx.TXID
	Time     time.Time // of TXID
	PageSize uint32
	Commit   uint32 // pages of the database at TXID
}

// Chain writes a replica of a copy of the database at dbPath, which must be a [sample] that nobody writes to.
func Chain(ctx context.Context, put objstore.Putter, dbPath string, opts Options) (_ *Replica, err error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "litefs-s3-replicagen-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	src, err := openSource(ctx, dbPath, filepath.Join(dir, "source.db"))
	if err != nil {
		return nil, fmt.Errorf("copy of %s: %w", dbPath, err)
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	w := &writer{put: put, opts: opts, src: src, dir: dir}
	if err := w.writeBase(ctx); err != nil {
		return nil, fmt.Errorf("base of the chain: %w", err)
	}
	counts := opts.counts()
	for level := topLevel; level >= 0; level-- {
		for range counts[level] {
			if err := w.writeNext(ctx, level); err != nil {
				return nil, fmt.Errorf("level %d from txid %s: %w", level, w.txid, err)
			}
		}
	}
	w.out.TXID, w.out.Time = w.txid, opts.time(w.txid)
	w.out.PageSize, w.out.Commit = src.wal.pageSize, w.commit
	return &w.out, nil
}

// source is the copy of the database that the transactions are applied to.
type source struct {
	*sql.DB
	path string
	wal  *walTail
}

// openSource copies the database and gives the copy what Litestream gives its source.
func openSource(ctx context.Context, dbPath, path string) (*source, error) {
	if err := sample.Copy(path, dbPath); err != nil {
		return nil, err
	}
	db, err := sample.OpenSource(path)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	const own = `CREATE TABLE IF NOT EXISTS _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER);
		CREATE TABLE IF NOT EXISTS _litestream_lock (id INTEGER);
		INSERT INTO _litestream_seq (id, seq) VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET seq = seq + 1`
	if _, err := db.ExecContext(ctx, own); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &source{DB: db, path: path, wal: &walTail{path: path + "-wal"}}, nil
}

// checkpoint moves everything from the WAL to the file and empties the WAL.
func (s *source) checkpoint(ctx context.Context) error {
	var busy, frames, moved int
	if err := s.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &frames, &moved); err != nil {
		return err
	}
	if busy != 0 {
		return fmt.Errorf("checkpoint of %s: something reads it", s.path)
	}
	return nil
}
