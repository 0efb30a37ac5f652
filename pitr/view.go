package pitr

import (
	"context"
	"errors"
	"time"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
)

// ViewAt returns the View at an instant: that of the last transaction at or before it.
func ViewAt(ctx context.Context, t *index.Tracker, when time.Time) (*index.View, error) {
	return view(ctx, t, func(tl *index.Timeline) (index.TXID, error) { return Locate(ctx, tl, when) })
}

// ViewAtTXID returns the View at a TXID.
func ViewAtTXID(ctx context.Context, t *index.Tracker, txid index.TXID) (*index.View, error) {
	if v := t.View(); v.TXID == txid {
		return v, nil
	}
	return view(ctx, t, func(*index.Timeline) (index.TXID, error) { return txid, nil })
}

// view opens a moment that is chosen in a listing. Files that are merged meanwhile make it look again.
func view(ctx context.Context, t *index.Tracker, choose func(*index.Timeline) (index.TXID, error)) (v *index.View, err error) {
	const attempts = 3
	for range attempts {
		tl, err := t.Timeline(ctx)
		if err != nil {
			return nil, err
		}
		txid, err := choose(tl)
		if err == nil {
			v, err = tl.At(ctx, txid)
		}
		if err == nil || !mergedMeanwhile(err) {
			return v, err
		}
	}
	return nil, err
}

func mergedMeanwhile(err error) bool {
	return errors.Is(err, index.ErrViewExpired) || errors.Is(err, objstore.ErrNotFound) || errors.Is(err, objstore.ErrChanged)
}
