package writer

import (
	"context"
	"errors"
)

// Close uploads what is committed, for as long as ctx allows, gives the lease back, and lets go of the log. What could not be uploaded
// is in an UnsyncedError, and stays in the log: then the lease is kept too, so that nobody takes it before it expires but the
// next process with this log. End Run before, and all transactions. Snapshots cannot be read any more.
func (w *Writer) Close(ctx context.Context) error {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return nil
	}
	w.closed = true
	w.mu.Unlock()

	err := w.Sync(ctx)
	pending := w.Pending()
	switch {
	case pending.Commits > 0:
		path := w.log.Dir()
		if w.tempLog != "" {
			path = ""
		}
		err = &UnsyncedError{Pending: pending, LogPath: path, Err: err}
	case errors.Is(err, ErrConflict):
		// It was said when it happened, and the commits are set aside.
	default:
		err = errors.Join(err, w.Release(ctx))
	}
	w.turn <- struct{}{} // for good: nothing is uploaded any more
	if w.flight != nil {
		err = errors.Join(err, w.flight.drop())
		w.flight = nil
	}
	w.mu.Lock()
	spare := w.spare
	w.spare = nil
	w.mu.Unlock()
	if spare != nil {
		err = errors.Join(err, spare.close())
	}
	return errors.Join(err, w.letGo())
}
