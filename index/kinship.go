package index

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/litefs-s3/litefs-s3/objstore"
)

// continues reports whether the L0 file s belongs to the same history as the View before it. Adjacent pieces of one
// write-ahead log prove it; else the newest file read so far must still be there, unchanged.
func (t *Tracker) continues(ctx context.Context, cur *View, s *segment) (bool, error) {
	segs := cur.table.Load().segs
	last := segs[len(segs)-1]
	if last.file.Level == 0 && last.salt1 == s.salt1 && last.salt2 == s.salt2 && s.salt1 != 0 &&
		last.walOffset+last.walSize == s.walOffset {
		return true, nil
	}
	return t.stillThere(ctx, cur) // if not it was merged, or replaced: the listing will tell
}

// stillThere reports whether the newest file of v is in the bucket as it was read, whatever a listing says.
func (t *Tracker) stillThere(ctx context.Context, v *View) (bool, error) {
	segs := v.table.Load().segs
	last := segs[len(segs)-1]
	h, err := readHeader(ctx, t.store, last.file)
	switch {
	case err == nil:
		return h == last.header, nil
	case errors.Is(err, objstore.ErrNotFound), errors.Is(err, objstore.ErrChanged), errors.Is(err, ErrCorrupt):
		return false, nil
	}
	return false, err
}

// kinship is what a listing says about a View read earlier.
type kinship int

const (
	sameHistory    kinship = iota
	otherHistory           // a file of the View has other bytes now
	strangers              // no known file is left
	olderThanKnown         // nothing is as new as the View
)

func (t *Tracker) landmarks() []File { return *t.marks.Load() }

func (t *Tracker) setLandmarks(c *Catalog) {
	var marks []File
	for i, f := range c.Files { // by level, then TXIDs
		if i+1 == len(c.Files) || c.Files[i+1].Level != f.Level {
			marks = append(marks, f)
		}
	}
	t.marks.Store(&marks)
}

// compare tells whether the replica listed is the one that v was read from; marks are other files of that one. Files never
// change, except that a snapshot may be written again: so a file with other bytes under a known name means another history.
// So does, as far as anyone can tell, that none of the known files is left.
func (c *Catalog) compare(v *View, marks []File) kinship {
	seen, changed := c.recognise(slices.Concat(v.table.Load().files(), marks))
	switch {
	case changed:
		return otherHistory
	case c.Max() < v.TXID:
		return olderThanKnown
	case !seen:
		return strangers
	}
	return sameHistory
}

// recognise looks for files of an earlier time: seen says that one is still there, changed that one has other bytes.
func (c *Catalog) recognise(files []File) (seen, changed bool) {
	for i := range files {
		f := &files[i]
		switch now := c.named(f); {
		case now == nil:
		case now.id() == f.id():
			seen = true
		case f.Level != SnapshotLevel:
			changed = true
		}
	}
	return seen, changed
}

// sameReplica reports whether the listing is of the history that v belongs to. When none of its files is left, the head,
// which was followed from one listing to the next, can still prove it, or a file that ends as one of its own did.
//
// A head of another history proves nothing by itself: it may be the same replica, of which it knew no file any more. Then v speaks for
// itself. When it can be moved at all there is a file that ends where v does, and that tells, unless one of the two is a snapshot of
// Litestream's, which is dated otherwise, and the other has lost its place in the write-ahead log.
func (t *Tracker) sameReplica(ctx context.Context, c *Catalog, v *View) (bool, error) {
	marks := t.landmarks()
	head := t.View()
	if head.History != v.History {
		if v.History < t.parted.Load() {
			return false, nil
		}
		marks, head = nil, v
	}
	switch c.compare(v, marks) {
	case otherHistory:
		return false, nil
	case strangers:
		if c.compare(head, marks) == sameHistory {
			return true, nil
		}
		return t.merged(ctx, c, v)
	}
	return true, nil
}

// mergedTries bounds the headers that merged reads.
const mergedTries = 4

// merged reports whether the listing has a file that files of v were merged into, or from: one that ends with the same transaction. A
// listing whose files are gone when they are read proves nothing: the error is one that another listing helps against.
func (t *Tracker) merged(ctx context.Context, c *Catalog, v *View) (bool, error) {
	segs := v.table.Load().segs
	tries := 0
	var gone error
	for i := len(segs) - 1; i >= 0; i-- {
		for j := range c.Files {
			f := &c.Files[j]
			if f.Max != segs[i].file.Max {
				continue
			}
			if tries++; tries > mergedTries {
				return false, gone
			}
			h, err := readHeader(ctx, t.store, f)
			switch {
			case err == nil && segs[i].endsAs(f, h):
				return true, nil
			case replanHelps(err):
				gone = err
			case err != nil && !errors.Is(err, ErrCorrupt):
				return false, err
			}
		}
	}
	return false, gone
}

// endsAs reports whether the file f with header h, which ends with the same TXID as s, ends with the same transaction: one that was made in
// the same millisecond, and leaves a database of the same size. Compaction copies these from its last input. A snapshot of Litestream's is
// dated by when it was taken, but says which piece of the write-ahead log it ends in.
func (s *segment) endsAs(f *File, h header) bool {
	if h.pageSize != s.pageSize || h.commit != s.commit {
		return false
	}
	if (f.Level == SnapshotLevel || s.file.Level == SnapshotLevel) && h.salt1 != 0 && h.salt1 == s.salt1 && h.salt2 == s.salt2 {
		return h.walOffset == s.walOffset || s.holds(h.walOffset) || h.holds(s.walOffset)
	}
	return h.timestamp == s.timestamp
}

// holds reports whether a file has what lies at off in the write-ahead log.
func (h *header) holds(off int64) bool { return h.walOffset <= off && off < h.walOffset+h.walSize }

// endsOtherwise reports whether two files that end with the same TXID certainly do not end with the same transaction. Snapshots are left
// out: they may be dated otherwise.
func (s *segment) endsOtherwise(other *segment) bool {
	return s.file.Level != SnapshotLevel && other.file.Level != SnapshotLevel && s.timestamp != other.timestamp
}

// checkFork returns ErrHistoryChanged when t, whose files were found by a listing that looked like the same history, certainly is of another
// one than old: a bucket was put back to an earlier state, and somebody has gone on from there. Files of that state are as they
// were, but one that ends with the same TXID as one of old's ends with another transaction.
func (t *table) checkFork(old *table) error {
	i := 0
	for _, s := range t.segs { // both are in the order of their last TXIDs
		for i < len(old.segs) && old.segs[i].file.Max < s.file.Max {
			i++
		}
		if i < len(old.segs) && old.segs[i].file.Max == s.file.Max && s.endsOtherwise(old.segs[i]) {
			return fmt.Errorf("%s ends with another transaction than %s did: %w", s.file, old.segs[i].file, ErrHistoryChanged)
		}
	}
	return nil
}
