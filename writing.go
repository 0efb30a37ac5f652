package litefss3

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/vfs"
	"github.com/litefs-s3/litefs-s3/writer"
	"github.com/litefs-s3/litefs-s3/writer/lease"
)

// enableWriting gives the database its writing side, if it has none yet, and tries to become the writer. That somebody else is the writer is no
// error: it is for whoever wants to write, and this process waits for its turn.
func (d *database) enableWriting(ctx context.Context, c Config) error {
	select {
	case d.enabling <- struct{}{}:
		defer func() { <-d.enabling }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if d.writer.Load() != nil {
		return d.writes.agreesToWrite(c)
	}
	if t := d.tracker(); t != nil { // a writer begins with what is new
		if err := d.rouse(ctx, t); err != nil {
			return err
		}
	}
	if err := d.restOnFiles(ctx); err != nil {
		return err
	}
	compacts, err := d.compacts(ctx, c.Compaction)
	if err != nil {
		return err
	}
	w, err := d.openWriter(ctx, c)
	if errors.Is(err, writer.ErrLogInUse) {
		d.whyNot.Store(&err)
		if c.Lease == AutomaticLease && !d.inUse {
			d.inUse = true
			d.log.LogAttrs(ctx, slog.LevelWarn, "another process on this machine writes to the replica; waiting for its commit log", slog.Any("err", err))
			d.wg.Go(func() { d.waitForLog(c) })
		}
		return nil
	}
	if err != nil {
		return err
	}
	waits := false
	if c.Lease == AutomaticLease {
		err = w.Acquire(ctx)
		if waits = errors.Is(err, lease.ErrHeld); waits {
			d.log.LogAttrs(ctx, slog.LevelInfo, "another process is the writer; waiting for its lease", slog.Any("err", err))
			err = nil
		}
	}
	if err != nil {
		return errors.Join(err, w.Close(ctx))
	}
	d.writes = c
	d.writer.Store(w)
	running, cancel := context.WithCancel(context.Background())
	d.stopWriting = cancel
	d.writing.Go(func() { w.Run(running) })
	if waits { // who has it and gives it back does not want it again
		d.writing.Go(func() { d.waitForLease(running, w) })
	}
	if compacts {
		d.writing.Go(func() { d.compact(running, w) })
	}
	return nil
}

// restOnFiles makes sure that what is written builds on the replica's files alone, also when a connection that only reads has opened it with
// the help of a sidecar.
func (d *database) restOnFiles(ctx context.Context) error {
	t := d.tracker()
	if t == nil {
		return nil
	}
	err := t.Verify(ctx)
	if errors.Is(err, index.ErrDistrusted) {
		err = t.Verify(ctx) // it was opened anew
	}
	return err
}

func (d *database) openWriter(ctx context.Context, c Config) (*writer.Writer, error) {
	path, err := c.bufferPath(d.name)
	if err != nil {
		return nil, err
	}
	opts := writer.Options{
		Replica: d.name, LogPath: path, Durability: c.Durability, SyncInterval: c.SyncInterval, MaxPending: c.MaxPending,
		Owner: c.Owner, LeaseTTL: c.LeaseTTL, Unfenced: c.Unfenced, Log: d.log,
		OpenReplica: func(ctx context.Context) (writer.Replica, error) { return d.openNewReplica(ctx, c) },
	}
	store := d.uploading(retried(d.store.metrics, d.log, writerAttempts))
	if t := d.tracker(); t != nil {
		return writer.Open(ctx, store, t, opts)
	}
	return writer.Open(ctx, store, nil, opts)
}

// openNewReplica follows a replica that was not there when the database was opened. When it is there because this process has just made it,
// a store whose listing is late is asked again.
func (d *database) openNewReplica(ctx context.Context, c Config) (writer.Replica, error) {
	const pause = 50 * time.Millisecond
	for {
		t, err := d.openReplica(ctx, c)
		if err == nil {
			return t, nil
		}
		if w := d.writer.Load(); !errors.Is(err, index.ErrNoReplica) || w == nil || w.DurableTXID() == 0 {
			return nil, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), err)
		}
	}
}

// tryAgain is the time between two attempts to become the writer.
const tryAgain = time.Second

// waitForLog opens the writer as soon as no other process has its log.
func (d *database) waitForLog(c Config) {
	for d.writer.Load() == nil {
		select {
		case <-time.After(tryAgain):
		case <-d.wanted.Done():
			return
		}
		ctx, cancel := context.WithTimeout(d.wanted, c.OpenTimeout)
		if err := d.enableWriting(ctx, c); err != nil && d.wanted.Err() == nil {
			d.log.LogAttrs(ctx, slog.LevelWarn, "writer not opened; trying again", slog.Any("err", err))
			d.whyNot.Store(&err)
		}
		cancel()
	}
}

// waitForLease makes this process the writer as soon as no other is.
func (d *database) waitForLease(ctx context.Context, w *writer.Writer) {
	for told := false; !w.Status().Writer; {
		err := w.AcquireWait(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		if !told {
			d.log.LogAttrs(ctx, slog.LevelWarn, "lease not acquired; trying again", slog.Any("err", err))
			told = true
		}
		select {
		case <-time.After(tryAgain):
		case <-ctx.Done():
			return
		}
	}
}

// bufferPath is the directory of the commit log: the one that was asked for, or one in the user's cache directory that is always the same for
// a replica. It is empty when nothing is to be kept.
func (c *Config) bufferPath(name string) (string, error) {
	if c.BufferPath != "" {
		return filepath.Abs(c.BufferPath)
	}
	if c.Durability == writer.Memory {
		return "", nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no place for the commit log: %w; set buffer_path", err)
	}
	endpoint := ""
	if u, err := url.Parse(c.ReplicaURL); err == nil {
		endpoint = u.Query().Get("endpoint")
	}
	sum := sha256.Sum256([]byte(name + "|" + endpoint))
	return filepath.Join(cache, "litefs-s3", "log", fmt.Sprintf("%x", sum[:12])), nil
}

// closeWriter uploads what is committed, within the time that Config gives it.
func (d *database) closeWriter() error {
	w := d.writer.Load()
	if w == nil {
		return nil
	}
	d.stopWriting()
	d.writing.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), d.writes.CloseTimeout)
	defer cancel()
	err := w.Close(ctx)
	if err != nil {
		d.log.LogAttrs(ctx, slog.LevelError, "writer closed; not everything is uploaded", slog.Any("err", err))
	}
	return err
}

// snapshotOf is what a transaction reads that sees what this process has committed.
func snapshotOf(s *writer.Snapshot) vfs.Snapshot {
	return vfs.Snapshot{View: s.Base(), Commit: s.Commit(), PageSize: s.PageSize(), Counter: s.Counter(), Unsynced: s}
}

// refusal tells SQLite's side what to make of an error of the writer.
func refusal(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, writer.ErrBusy), errors.Is(err, writer.ErrLogFull):
		return &vfs.Refusal{Kind: vfs.Busy, Err: err}
	case errors.Is(err, writer.ErrStale):
		return &vfs.Refusal{Kind: vfs.Stale, Err: err}
	case errors.Is(err, writer.ErrReadOnly), errors.Is(err, writer.ErrLeaseLost), errors.Is(err, lease.ErrHeld),
		errors.Is(err, writer.ErrConflict), errors.Is(err, writer.ErrClosed), errors.Is(err, writer.ErrLogInUse):
		return &vfs.Refusal{Kind: vfs.ReadOnly, Err: err}
	}
	return err
}

// transaction is a vfs.Transaction.
type transaction struct{ *writer.Tx }

func (t transaction) Commit(ctx context.Context, pages uint32) (vfs.Snapshot, error) {
	s, err := t.Tx.Commit(ctx, pages)
	if s == nil {
		return vfs.Snapshot{}, refusal(err)
	}
	return snapshotOf(s), err
}

func (c *connection) Writable() bool { return c.writable }

// theWriter returns the writing side, or why there is none.
func (c *connection) theWriter() (*writer.Writer, error) {
	if w := c.db.writer.Load(); w != nil {
		return w, nil
	}
	if err := c.db.whyNot.Load(); err != nil {
		return nil, *err
	}
	return nil, writer.ErrReadOnly
}

func (c *connection) BeginWrite(ctx context.Context, s vfs.Snapshot) (vfs.Transaction, error) {
	w, err := c.theWriter()
	if err != nil {
		return nil, refusal(err)
	}
	snap, ok := s.Unsynced.(*writer.Snapshot)
	if !ok { // the transaction began before there was a writer
		return nil, refusal(writer.ErrStale)
	}
	tx, err := w.Begin(ctx, snap)
	if err != nil {
		return nil, refusal(err)
	}
	return transaction{tx}, nil
}

func (c *connection) Sync(ctx context.Context) error {
	w, err := c.theWriter()
	if err != nil {
		return err
	}
	return w.Sync(ctx)
}

func (c *connection) Pending() int {
	if w := c.db.writer.Load(); w != nil {
		return w.Pending().Commits
	}
	return 0
}

// Acquire makes this process the writer. When the log was in use before, it may not be any more.
func (c *connection) Acquire(ctx context.Context) error {
	if c.db.writer.Load() == nil {
		if err := c.db.enableWriting(ctx, c.conf); err != nil {
			return err
		}
	}
	w, err := c.theWriter()
	if err != nil {
		return err
	}
	return w.Acquire(ctx)
}

func (c *connection) Release(ctx context.Context) error {
	w, err := c.theWriter()
	if err != nil {
		return err
	}
	return w.Release(ctx)
}

func (c *connection) IsWriter() bool {
	w := c.db.writer.Load()
	return w != nil && w.Status().Writer
}

func (c *connection) Durable() index.TXID {
	if w := c.db.writer.Load(); w != nil {
		return w.DurableTXID()
	}
	if t := c.db.tracker(); t != nil {
		return t.View().TXID
	}
	return 0
}
