package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/pages"
	"github.com/litefs-s3/litefs-s3/pitr"
	"github.com/litefs-s3/litefs-s3/vfs"
)

// database is what one connection of SQLite has open: a vfs.Database that only reads.
type database struct {
	*pages.Reader
	replica *Replica
	moment  *Moment
	reads   bool // the newest state has been read
}

var _ vfs.Database = (*database)(nil)

// Newest returns what a transaction reads that begins now. The first one of a connection must not begin with a state that is known to be
// incomplete; later ones go on from what was read before.
func (d *database) Newest(context.Context) (vfs.Snapshot, error) {
	if d.moment.view != nil {
		return vfs.SnapshotOf(d.moment.view), nil
	}
	t := d.replica.tracker
	if err := t.State().Err; !d.reads && errors.Is(err, index.ErrGap) {
		return vfs.Snapshot{}, fmt.Errorf("%w; or open it at the last moment before the gap, txid %s", err, t.View().TXID)
	}
	d.reads = true
	return vfs.SnapshotOf(t.View()), nil
}

func (d *database) Note(ctx context.Context, op string, err error) {
	d.replica.opts.Log.LogAttrs(ctx, slog.LevelDebug, "statement failed", slog.String("op", op), slog.Any("err", err))
}

func (d *database) Close() error {
	d.Reader.Close()
	return nil
}

func (d *database) At(ctx context.Context, phrase string) (*index.View, error) {
	target, err := pitr.Parse(phrase, time.Now())
	if err != nil || target.IsLatest() {
		return nil, err
	}
	return pitr.ViewAt(ctx, d.replica.tracker, target.At)
}

func (d *database) AtTXID(ctx context.Context, txid index.TXID) (*index.View, error) {
	if v := d.moment.view; v != nil && v.TXID == txid {
		return v, nil // all connections of a moment read the same files
	}
	return pitr.ViewAtTXID(ctx, d.replica.tracker, txid)
}

func (d *database) State() index.State { return d.replica.tracker.State() }

func (d *database) Wait(ctx context.Context, txid index.TXID) error {
	return d.replica.tracker.WaitFor(ctx, txid)
}

// There is no local copy.

func (d *database) Hydration() (float64, string)       { return 0, "" }
func (d *database) Hydrate([]string) error             { return errNoFiles }
func (d *database) WaitHydrated(context.Context) error { return errNoFiles }

var errNoFiles = errors.New("there are no files here to keep a local copy in")

// Nothing is written: of these, only Writable is ever called.

func (d *database) Writable() bool { return false }
func (d *database) BeginWrite(context.Context, vfs.Snapshot) (vfs.Transaction, error) {
	return nil, &vfs.Refusal{Kind: vfs.ReadOnly, Err: errReadOnly}
}
func (d *database) Sync(context.Context) error    { return errReadOnly }
func (d *database) Pending() int                  { return 0 }
func (d *database) Acquire(context.Context) error { return errReadOnly }
func (d *database) Release(context.Context) error { return errReadOnly }
func (d *database) IsWriter() bool                { return false }
func (d *database) Durable() index.TXID           { return d.replica.tracker.View().TXID }

// Settings are given when the replica is opened, and not by pragmas.

func (d *database) Get(string) (string, bool) { return "", false }
func (d *database) Set(string, string) error  { return nil }
func (d *database) Names() []string           { return nil }

func (d *database) Status(p vfs.Position) any { return d.replica.status(p.View, p.Time) }

// parseTXID reads a TXID as it is always written: hexadecimal, leading zeros optional.
func parseTXID(text string) (index.TXID, error) {
	n, err := strconv.ParseUint(strings.TrimPrefix(strings.ToLower(text), "0x"), 16, 64)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("txid %.40q is up to 16 hexadecimal digits, like 000000000000002a: %w", text, ErrArgument)
	}
	return index.TXID(n), nil
}
