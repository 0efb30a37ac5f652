package compact

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/litefs-s3/litefs-s3/compact/merge"
	"github.com/litefs-s3/litefs-s3/index"
)

// delete removes what was planned to go and still may go, by a new listing; checks first what replaces it; and looks afterwards
// whether it is gone.
func (c *Compactor) delete(ctx context.Context, planned []Deletion, r *Report) error {
	catalog, err := c.list(ctx)
	if err != nil {
		return err
	}
	may := retention{c.opts, c.opts.Now()}.removable(catalog.Files)
	may = slices.DeleteFunc(may, func(d Deletion) bool {
		return !slices.ContainsFunc(planned, func(p Deletion) bool { return nameOf(&p.file) == nameOf(&d.file) })
	})
	may, err = c.checkReplacements(ctx, may)
	if len(may) == 0 {
		return err
	}
	for batch := range slices.Chunk(may, deletable) {
		keys := make([]string, len(batch))
		for i := range batch {
			keys[i] = batch[i].file.Key()
		}
		if errDelete := c.store.Delete(ctx, keys...); errDelete != nil {
			return errors.Join(err, fmt.Errorf("remove %d files from %s on: %w", len(batch), batch[0].name(), errDelete))
		}
	}
	return errors.Join(err, c.confirm(ctx, may, r))
}

// checkReplacements reads back the files that others are to go for, as far as nobody has, and returns the deletions whose
// replacement is sound.
func (c *Compactor) checkReplacements(ctx context.Context, all []Deletion) ([]Deletion, error) {
	if len(all) == 0 {
		return nil, nil
	}
	l, err := c.ledger(ctx)
	if err != nil {
		return nil, err
	}
	sound := map[name]bool{}
	var read []*index.File
	var bad error
	for i := range all {
		by := &all[i].by
		id := nameOf(by)
		if _, asked := sound[id]; asked {
			continue
		}
		if sound[id] = l.isChecked(by); sound[id] {
			continue
		}
		if _, err := merge.Check(ctx, c.store, *by); err != nil {
			bad = errors.Join(bad, fmt.Errorf("what %s replaces stays: %w", by, explain(err)))
			continue
		}
		sound[id] = true
		read = append(read, by)
	}
	c.recordChecked(ctx, read)
	return slices.DeleteFunc(all, func(d Deletion) bool { return !sound[nameOf(&d.by)] }), bad
}

// confirm lists the replica again: a store may say that it removed files and not have done it.
func (c *Compactor) confirm(ctx context.Context, deleted []Deletion, r *Report) error {
	catalog, err := index.ListAll(ctx, c.store)
	if err != nil {
		return fmt.Errorf("look whether %d files are gone: %w", len(deleted), err)
	}
	var still []string
	for _, d := range deleted {
		if slices.ContainsFunc(catalog.Files, func(f index.File) bool { return nameOf(&f) == nameOf(&d.file) }) {
			still = append(still, d.name())
			continue
		}
		r.Deleted = append(r.Deleted, d)
	}
	r.Freed = freed(r.Deleted)
	c.opts.Log.LogAttrs(ctx, slog.LevelInfo, "removed files that are no longer needed",
		slog.Int("files", len(r.Deleted)), slog.Int64("bytes", r.Freed))
	if len(still) > 0 {
		return fmt.Errorf("%d of %d files, the first is %s; remove them by hand or by a rule of the bucket, or look at the rights: %w",
			len(still), len(deleted), still[0], ErrNotDeleted)
	}
	return nil
}
