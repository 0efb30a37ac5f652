package writer

import (
	"errors"
	"fmt"
	"strings"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/writer/commitlog"
	"github.com/litefs-s3/litefs-s3/writer/lease"
)

// What can be wrong, as far as callers act on it. Test with errors.Is.
var (
	// ErrBusy: another connection of this process is in a write transaction. It will end.
	ErrBusy = errors.New("another connection is writing")
	// ErrStale: the transaction began with a Snapshot that is not the newest any more. Begin again.
	ErrStale = errors.New("the database has changed since the transaction began")
	// ErrReadOnly: this process has no lease. A LeaseHeldError says who has.
	ErrReadOnly = errors.New("not the writer: the lease was not acquired")
	// ErrLeaseLost: the lease could not be renewed in time, or somebody has taken it over. What was committed stays in the log.
	ErrLeaseLost = errors.New("the lease was lost")
	// ErrConflict is what every ConflictError is.
	ErrConflict = errors.New("another writer was faster")
	// ErrForeignWriter: somebody who does not respect the lease writes to the replica, a running Litestream for instance.
	ErrForeignWriter = errors.New("another writer is writing to the replica without the lease; end it, or write elsewhere")
	// ErrLogFull: as much as MaxPending is committed and not uploaded. It passes when uploads get on; Err says why they do not.
	ErrLogFull = errors.New("too much is committed and not uploaded")
	// ErrStoreDown: the store does not take what is sent. It is tried again for ever.
	ErrStoreDown = errors.New("upload has failed and will be tried again")
	// ErrNotUploaded: the commit is in the log and stands, but with durability remote it should have been in the bucket. It will be
	// uploaded; nobody can say yet when.
	ErrNotUploaded = errors.New("committed locally, but not confirmed in the bucket")
	// ErrPageSize: pages of another size than those of the replica, which cannot change.
	ErrPageSize = errors.New("a replica's page size cannot change; restore it, VACUUM with the new size, and push it to a new replica")
	// ErrUnfenced: the store ignores create-only conditions, so two writers could overwrite each other.
	ErrUnfenced = errors.New("the store ignores create-only conditions (If-None-Match: *), without which two writers may overwrite each other; " +
		"use another store, or insist if you are certain that there is only one writer")
	// ErrClosed: the Writer was closed.
	ErrClosed = errors.New("writer is closed")
	// ErrInvalid: what was to be uploaded would not restore. It is not uploaded.
	ErrInvalid = errors.New("file to upload is not what it should be")

	// The commit log's own.
	ErrLogInUse   = commitlog.ErrInUse
	ErrLogDamaged = commitlog.ErrDamaged
	ErrLogFailed  = commitlog.ErrFailed
)

// LeaseHeldError says who has the lease, and until when.
type LeaseHeldError = lease.HeldError

// ConflictError says that the bucket went on without this process's commits: another writer had the next TXID first. The Writer takes
// no more commits, until Acquire is called again. What was not uploaded is kept.
type ConflictError struct {
	TXID     index.TXID // that should have been ours; 0 when the bucket has none of it
	Key      string     // the object that came first, if one did
	SetAside string     // path of the log with the commits that were not uploaded; empty when there were none
	Commits  int        // how many
	Err      error      // ErrConflict or ErrForeignWriter, or why the log cannot be used
}

func (e *ConflictError) Error() string {
	var b strings.Builder
	b.WriteString(e.Err.Error())
	if e.Key != "" {
		fmt.Fprintf(&b, ": %s is not ours", e.Key)
	}
	if e.SetAside != "" {
		fmt.Fprintf(&b, "; commits that were not uploaded are kept in %s: look at them with writer.ReadAside", e.SetAside)
	}
	return b.String()
}

func (e *ConflictError) Unwrap() error { return e.Err }

// Is makes errors.Is(err, ErrConflict) true.
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }

// UnsyncedError is Close's: what was not uploaded, and where it is.
type UnsyncedError struct {
	Pending
	LogPath string // the next Open sends what is there; empty when it is gone with the process
	Err     error  // why it was not uploaded
}

func (e *UnsyncedError) Error() string {
	if e.LogPath == "" {
		return fmt.Sprintf("%d commits (%d pages) were not uploaded and are lost, for there is no buffer_path: %v", e.Commits, e.Pages, e.Err)
	}
	return fmt.Sprintf("%d commits (%d pages) were not uploaded: %v; they are kept in %s, and sent when the database is opened for writing again",
		e.Commits, e.Pages, e.Err, e.LogPath)
}

func (e *UnsyncedError) Unwrap() error { return e.Err }
