package restore

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"time"

	"github.com/litefs-s3/litefs-s3/bulk"
	"github.com/litefs-s3/litefs-s3/index"
)

// Head is the one who follows the replica. An *index.Tracker is one.
type Head interface {
	bulk.Mover
	// View is the newest View.
	View() *index.View
	// Poll looks for news once.
	Poll(ctx context.Context) error
	// Since tells which pages head has that differ from the database at txid, of whose history files are: those and perhaps
	// others. ok is false when files are of another history, or when it cannot be told any more.
	Since(ctx context.Context, head *index.View, txid index.TXID, files []index.File) (changed iter.Seq[uint32], ok bool, err error)
	// Landmarks are listed files by which this history will be known again when those of a View are merged and gone.
	Landmarks() []index.File
}

// FollowOptions of a Follow. The zero value works.
type FollowOptions struct {
	// Existing says what becomes of a database at the path that Follow has not made. Zero refuses.
	Existing Existing
	// PollInterval is the time between two looks for news. Zero is one second.
	PollInterval time.Duration
	// Concurrency is how many requests run at once. Zero is that of package bulk.
	Concurrency int
	// OnProgress, when not nil, is called while pages are fetched, never by two goroutines at once.
	OnProgress func(bulk.Progress)
	// OnUpdate, when not nil, is called when the file has moved to another moment, the first one included. It must return soon.
	OnUpdate func(Update)
	// Log gets a line for what somebody would retell. Nil discards.
	Log *slog.Logger

	faults   faults        // for tests
	lockWait time.Duration // see lockWait
}

// Update is a step of a followed file to another moment.
type Update struct {
	TXID    index.TXID    `json:"txid"`
	Time    time.Time     `json:"time"`    // of the newest transaction, by the writer's clock
	Pages   int64         `json:"pages"`   // written
	Fetched int64         `json:"fetched"` // bytes
	Took    time.Duration `json:"took_nsec"`
}

func (o FollowOptions) withDefaults() FollowOptions {
	if o.PollInterval <= 0 {
		o.PollInterval = time.Second
	}
	if o.lockWait == 0 {
		o.lockWait = lockWait
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Follow makes the database at the head the file at path, and keeps it up to date until ctx ends. Then it returns nil, and the file stays
// at the moment where it is; a later Follow goes on from there. What may pass is logged and tried again; it ends with an error when the
// file is not its own (ErrExists, ErrInUse, ErrNotOurs), cannot be locked, or the replica's bytes cannot be right.
func Follow(ctx context.Context, src bulk.Source, head Head, path string, opts FollowOptions) error {
	opts = opts.withDefaults()
	f, err := openFollower(ctx, src, head, path, opts)
	if err != nil {
		return endOf(ctx, err)
	}
	defer f.close()
	for {
		err := f.advance(ctx)
		if err == nil {
			err = sleep(ctx, opts.PollInterval)
		}
		if err == nil {
			err = head.Poll(ctx)
		}
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && fatal(err) {
			return err
		}
		if err != nil {
			opts.Log.LogAttrs(ctx, slog.LevelWarn, "update failed; the file stays as it is, and it will be tried again",
				slog.String("path", f.path), slog.String("txid", f.at.TXID.String()), slog.Any("err", err))
			if sleep(ctx, opts.PollInterval) != nil {
				return nil
			}
			_ = head.Poll(ctx) // its error is in the head's state, and comes again
		}
	}
}

// endOf is what Follow returns for err: nothing when it was told to end.
func endOf(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

// fatal reports whether trying again cannot help.
func fatal(err error) bool {
	return errors.Is(err, ErrNotOurs) || errors.Is(err, ErrNoLocks) || errors.Is(err, index.ErrCorrupt)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
