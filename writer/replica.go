package writer

import (
	"context"
	"io"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/writer/commitlog"
)

// Replica is the one who follows the replica: an *index.Tracker.
type Replica interface {
	// View is the newest View.
	View() *index.View
	// Refresh lists the bucket for a newer one.
	Refresh(ctx context.Context) error
	// Poll asks the bucket for the next one by its name.
	Poll(ctx context.Context) error
	// Hold keeps it from asking for the next file, which the caller is about to put, until release.
	Hold() (release func())
	// Adopt makes a file the newest View that was just put, without asking the bucket for it.
	Adopt(ctx context.Context, f index.File, body io.ReaderAt) (*index.View, error)
}

// follower is a Replica behind a pointer that can be swapped.
type follower struct{ Replica }

// view is the newest View in the bucket that is known; nil when nothing is there.
func (w *Writer) view() *index.View {
	if f := w.replica.Load(); f != nil {
		return f.View()
	}
	return nil
}

// baseOf is the state of the bucket at v.
func baseOf(v *index.View) commitlog.Base {
	if v == nil {
		return commitlog.Base{}
	}
	files := v.Files()
	return commitlog.Base{TXID: v.TXID, Time: v.Time, Commit: v.Commit, File: *files[len(files)-1]}
}

func pageSizeOf(v *index.View) uint32 {
	if v == nil {
		return 0
	}
	return v.PageSize
}
