package writer

import (
	"context"
	"log/slog"
	"time"

	"github.com/litefs-s3/litefs-s3/writer/commitlog"
	"github.com/litefs-s3/litefs-s3/writer/lease"
)

// Durability says when Commit returns.
type Durability int

const (
	// Local: when the commit is on the local disk. It survives the process and the machine, and is uploaded within the sync interval.
	Local Durability = iota
	// Remote: when the commit is in the bucket. Commits that wait share one upload.
	Remote
	// Memory: at once. It survives the process if there is a LogPath, not the machine.
	Memory
)

func (d Durability) String() string {
	switch d {
	case Remote:
		return "remote"
	case Memory:
		return "memory"
	}
	return "local"
}

// policy is what the durability means for the log.
func (d Durability) policy() commitlog.Policy {
	switch d {
	case Remote:
		return commitlog.EverySeal
	case Memory:
		return commitlog.Never
	}
	return commitlog.EveryCommit
}

// Options of a Writer. LogPath is required unless Durability is Memory.
type Options struct {
	// Replica names the replica, in the log and for people: its URL without secrets.
	Replica string
	// LogPath is the directory of the commit log. Empty with Memory: a temporary one, which Close removes.
	LogPath string
	// Durability says when Commit returns. Zero means Local.
	Durability Durability
	// SyncInterval is the time between uploads. Zero means one second; negative means that only Sync uploads.
	SyncInterval time.Duration
	// MaxPending is how much may be committed and not uploaded, in bytes, before no transaction begins any more. One that has begun may
	// go beyond. Zero means 1 GiB.
	MaxPending int64
	// TempDir is where large transactions and uploads are kept on the way. Empty means the system's.
	TempDir string
	// Owner is who writes, in the lease: for people. Empty means host:process.
	Owner string
	// LeaseTTL is how long a lease is valid that is not renewed. Zero means 30 s. Renewals come three times as often.
	LeaseTTL time.Duration
	// Unfenced insists on a store that ignores create-only conditions. Two writers on such a store may overwrite each other.
	Unfenced bool
	// OpenReplica follows a replica that was empty when the Writer was opened, once there is something: with index.Open. As long as
	// there is nothing it is index.ErrNoReplica. Required when no Replica is given to Open.
	OpenReplica func(ctx context.Context) (Replica, error)
	// Clock is the time. Nil means time.Now.
	Clock func() time.Time
	// Log gets one line per event an operator would retell. Nil discards.
	Log *slog.Logger

	// For tests.
	faults      func(op string) error // of the log
	segmentSize int64                 // of the log
}

func (o Options) withDefaults() Options {
	if o.SyncInterval == 0 {
		o.SyncInterval = time.Second
	}
	if o.MaxPending <= 0 {
		o.MaxPending = 1 << 30
	}
	if o.LeaseTTL <= 0 {
		o.LeaseTTL = lease.DefaultTTL
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}
