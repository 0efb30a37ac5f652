package index

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/superfly/ltx"

	"github.com/litefs-s3/litefs-s3/objstore"
)

// certainEvery is how long a follower goes by the next name alone. Whoever removes files of level 0 sooner than it polls costs it no
// more than that.
const certainEvery = time.Minute

// makeCertain sees to it, once a minute, that no news means that there is none.
//
// A poll asks for the L0 file of the next transaction. When the process was stopped for a while, or files of level 0 are removed very soon, that
// file may have come and gone between two polls: then nothing is under its name, now and for ever. But files of level 0 are removed
// from the old end of the level, so while the head's own one is there nothing after it is gone. That costs a GET, a twelfth of
// what a listing does, and it is a listing that is made when the file is not there. See [Tracker.listEvery] for who has none, as
// somebody who stands at the first transaction: its file is the whole database, which a compactor keeps for longer.
func (t *Tracker) makeCertain(ctx context.Context) error {
	began, head := time.Now(), t.View().TXID
	if head == 1 {
		t.alone = head
	}
	if head == t.alone || elapsed(t.certain, began) < certainEvery {
		return nil
	}
	there, err := t.headIsThere(ctx)
	switch {
	case err != nil:
		return err
	case there:
		t.certain = began
		return nil
	}
	t.alone = head
	return t.relist(ctx)
}

// headIsThere reports whether the L0 file of the head is there, and has not changed since it was read or listed.
func (t *Tracker) headIsThere(ctx context.Context) (bool, error) {
	head := t.View().TXID
	f := &File{Level: 0, Min: head, Max: head}
	_, err := t.store.ReadPrefix(ctx, objstore.Ref{Key: f.Key(), ETag: t.etagOf(f)}, ltx.HeaderSize)
	if errors.Is(err, objstore.ErrNotFound) || errors.Is(err, objstore.ErrChanged) {
		return false, nil
	}
	return err == nil, err
}

// etagOf is the ETag of a file that was read, or was the newest of its level in the last listing; empty when it is not known.
func (t *Tracker) etagOf(f *File) string {
	for _, known := range slices.Concat(t.View().table.Load().files(), t.landmarks()) {
		if sameName(&known, f) {
			return known.ETag
		}
	}
	return ""
}
