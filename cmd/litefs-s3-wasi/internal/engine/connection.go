package engine

import (
	"context"
	"errors"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/pages"
	"github.com/litefs-s3/litefs-s3/vfs"
)

// connection is one open of a Replica, read-only: a vfs.Database.
type connection struct {
	*pages.Reader
	reading
	r *Replica
}

var _ vfs.Database = (*connection)(nil)

func connect(r *Replica) *connection { return &connection{Reader: r.source.NewReader(), r: r} }

func (c *connection) Close() error { c.Reader.Close(); return nil }

func (c *connection) Newest(ctx context.Context) (vfs.Snapshot, error) {
	v, err := c.r.View(ctx)
	if err != nil {
		return vfs.Snapshot{}, err
	}
	return vfs.SnapshotOf(v), nil
}

func (c *connection) State() index.State { return c.r.tracker.State() }

// errFixed: the moment is chosen when the replica is opened.
var errFixed = errors.New("the moment is chosen when the replica is opened; open it again with another one")

// reading is all that a connection that only reads says no to.
type reading struct{}

func (reading) Note(context.Context, string, error)                     {}
func (reading) At(context.Context, string) (*index.View, error)         { return nil, errFixed }
func (reading) AtTXID(context.Context, index.TXID) (*index.View, error) { return nil, errFixed }
func (reading) Wait(context.Context, index.TXID) error                  { return errFixed }
func (reading) Hydration() (float64, string)                            { return 0, "" }
func (reading) Hydrate([]string) error                                  { return errReadOnly }
func (reading) WaitHydrated(context.Context) error                      { return errReadOnly }
func (reading) Writable() bool                                          { return false }
func (reading) Sync(context.Context) error                              { return errReadOnly }
func (reading) Pending() int                                            { return 0 }
func (reading) Acquire(context.Context) error                           { return errReadOnly }
func (reading) Release(context.Context) error                           { return errReadOnly }
func (reading) IsWriter() bool                                          { return false }
func (reading) Durable() index.TXID                                     { return 0 }
func (reading) Get(string) (string, bool)                               { return "", false }
func (reading) Set(string, string) error                                { return errReadOnly }
func (reading) Names() []string                                         { return nil }
func (reading) Status(vfs.Position) any                                 { return nil }
func (reading) BeginWrite(context.Context, vfs.Snapshot) (vfs.Transaction, error) {
	return nil, &vfs.Refusal{Kind: vfs.ReadOnly, Err: errReadOnly}
}

var errReadOnly = errors.New("the replica is opened read-only")
