package litefss3

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	sqlite "github.com/ncruces/go-sqlite3/driver"

	"github.com/litefs-s3/litefs-s3/compact"
	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/sidecar"
	"github.com/litefs-s3/litefs-s3/vfs"
)

// SidecarMode says what a process does with the sidecar of a replica, an object of ours beside the levels that makes opening fast
// (package sidecar).
type SidecarMode int

const (
	// ReadSidecar uses the one that is there, if it fits.
	ReadSidecar SidecarMode = iota
	// NoSidecar neither reads nor writes one.
	NoSidecar
	// WriteSidecar reads it, and stores a new one ten seconds after opening, or at close: with the pages that this process has read until
	// then, which others will fetch at once when they open the replica. It takes the right to put objects.
	WriteSidecar
)

var sidecarModes = []SidecarMode{ReadSidecar, NoSidecar, WriteSidecar}

func (m SidecarMode) String() string {
	switch m {
	case NoSidecar:
		return "off"
	case WriteSidecar:
		return "write"
	}
	return "read"
}

// parseSidecar reads what a process does with the sidecar.
func parseSidecar(text string, to *SidecarMode) error {
	for _, m := range sidecarModes {
		if text == m.String() {
			*to = m
			return nil
		}
	}
	return errors.New("no such mode; it is read, off, or write (store what this process reads first, for others)")
}

const (
	// profileTime is how long after opening pages count as those that a process reads first, and profilePages how many there are at most.
	profileTime  = 10 * time.Second
	profilePages = 4096
	// prefetchSize bounds what is fetched at once because others have read it first, in bytes.
	prefetchSize = 8 << 20
	// recentTables is the age up to which page tables in a local file make those of the sidecar unnecessary.
	recentTables = time.Hour
)

// borrowing is what is known of a replica before it is opened: from its sidecar, and from a file beside the local copy.
type borrowing struct {
	db     *database
	local  string // the file; empty without a local copy that lasts
	remote bool   // there may be a sidecar
	fresh  bool   // the file needs no other yet
	some   bool   // there were page tables
	side   sidecar.Sidecar
}

// borrowing returns what opening the replica may rely on. A writer relies on nothing but the files themselves.
func (d *database) borrowing(c Config) *borrowing {
	b := &borrowing{db: d, remote: c.Sidecar != NoSidecar && !c.writes()}
	if !c.writes() {
		b.local = c.tablesPath()
	}
	return b
}

// layouts is an index.Options.Layouts.
func (b *borrowing) layouts(ctx context.Context) []*index.Layout {
	kept, age := b.kept(ctx)
	b.fresh = len(kept) > 0 && age < recentTables
	b.some = len(kept) > 0
	if !b.remote || b.fresh {
		return kept
	}
	s, err := sidecar.Read(ctx, b.db.store)
	switch {
	case err == nil:
		b.side, b.some = *s, true
	case ctx.Err() == nil && !errors.Is(err, objstore.ErrNotFound):
		b.db.log.LogAttrs(ctx, slog.LevelWarn, "sidecar is not used; opening takes more requests", slog.Any("err", err))
	}
	return append(kept, b.side.Layouts...)
}

// kept returns the page tables in the local file, and how old they are.
func (b *borrowing) kept(ctx context.Context) ([]*index.Layout, time.Duration) {
	if b.local == "" {
		return nil, 0
	}
	s, err := sidecar.Load(b.local)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			b.db.log.LogAttrs(ctx, slog.LevelWarn, "page tables of an earlier time are not used; opening takes more requests", slog.Any("err", err))
		}
		return nil, 0
	}
	return s.Layouts, time.Since(s.Made)
}

// use puts pages into the cache, and has those fetched that others have read first.
func (b *borrowing) use(v *index.View) {
	b.db.source.Seed(v, b.side.Blobs)
	b.db.source.Prefetch(v, b.side.Profile, prefetchSize)
}

// verifyAfter is how long after opening page tables that were borrowed are compared with the files. Who is gone by then has saved the
// requests.
const verifyAfter = time.Minute

// verify makes a process that lives for longer rest on the replica's files alone.
func (d *database) verify(t *index.Tracker) {
	timer := time.NewTimer(verifyAfter)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-d.wanted.Done():
		return
	}
	if err := t.Verify(d.wanted); err != nil && d.wanted.Err() == nil {
		d.log.LogAttrs(d.wanted, slog.LevelWarn, "page tables of the sidecar not verified", slog.Any("err", err))
	}
}

// tablesPath is the file beside the local copy that keeps page tables from one process to the next; empty without one.
func (c *Config) tablesPath() string {
	if !c.hydrates() || c.Hydration.Path == "" {
		return ""
	}
	return c.Hydration.Path + "-index"
}

// saveTables keeps the page tables of the newest View in a file, for the next process here.
func (d *database) saveTables() {
	t, local := d.tracker(), d.local.Load()
	if d.tables == "" || t == nil || local == nil || local.Progress().Temporary {
		return
	}
	s := sidecar.Sidecar{TXID: t.View().TXID, Made: time.Now(), Layouts: t.View().Layouts()}
	if err := s.Save(d.tables); err != nil {
		d.log.LogAttrs(context.Background(), slog.LevelWarn, "page tables are not kept; the next opening takes more requests", slog.Any("err", err))
	}
}

// profile stores a sidecar with the pages that this process reads first.
func (d *database) profile(within time.Duration) {
	timer := time.NewTimer(profileTime)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-d.wanted.Done():
	}
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	d.updateSidecar(ctx, d.source.Touched())
}

// updateSidecar stores a sidecar. A nil profile keeps the one that is there.
func (d *database) updateSidecar(ctx context.Context, profile []uint32) {
	if _, err := sidecar.Update(ctx, d.store, sidecar.Options{Profile: profile, Log: d.log}); err != nil {
		d.log.LogAttrs(ctx, slog.LevelWarn, "sidecar not written", slog.Any("err", err))
	}
}

// compacted is told what a run of the background compaction has made. After a file of the top level or a snapshot much of the sidecar is stale.
func (d *database) compacted(ctx context.Context, r *compact.Report) {
	if r.Highest() >= SidecarLevel {
		d.updateSidecar(ctx, nil)
	}
}

// SidecarLevel is the level from which on a file that was made is worth a new sidecar, where compaction goes on by itself: those of level 3 are
// made each hour.
const SidecarLevel = 3

// Touched runs fn, and returns the pages that it has read from the replica behind a connection, together with all other connections on it:
// a profile for [sidecar.Update]. schema is "main", or the name of an attached database.
func Touched(conn *sql.Conn, schema string, fn func() error) (pgnos []uint32, err error) {
	var d *database
	err = conn.Raw(func(c any) error {
		if c, ok := c.(sqlite.Conn); ok {
			if db, ok := vfs.Of(c.Raw(), schema); ok {
				d = db.(*connection).db
			}
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case d == nil:
		return nil, fmt.Errorf("%s is no database of the VFS %s", schema, VFS)
	}
	d.source.Record(profilePages)
	err = fn()
	return d.source.Touched(), err
}
