package compact

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/litefs-s3/litefs-s3/compact/merge"
)

// Image is a whole, consistent SQLite database that does not change while it is read. What is only in a write-ahead log
// beside it is not part of it.
type Image struct {
	io.ReaderAt
	Size int64 // bytes
}

// Push makes a new replica of a database image: transaction 1, at level 0, with every page, which is how a writer begins one.
// A Litestream or a writer of this project can go on from it. The prefix must be empty.
func (c *Compactor) Push(ctx context.Context, image Image) (_ *Report, err error) {
	start, before := c.opts.Now(), c.store.Stats()
	page, err := c.store.List(ctx, "", "")
	if err != nil {
		return nil, err
	}
	if len(page.Objects) > 0 {
		return nil, fmt.Errorf("it holds %q; choose another prefix, or remove what is there: %w", page.Objects[0].Key, ErrNotEmpty)
	}
	to := merge.Target{Level: 0, Min: 1, Max: 1, Timestamp: c.opts.Now(), Complete: true}
	m, err := c.publishImage(ctx, image, to, Progress{Step: 1, Steps: 1})
	if errors.Is(err, ErrConflict) || m.Existed {
		return nil, fmt.Errorf("somebody else has just made a replica there: %w", ErrNotEmpty)
	}
	if err != nil {
		return nil, err
	}
	return &Report{Made: []Made{m}, Cost: counted(c.store.Stats().Sub(before)), Took: Seconds(c.opts.Now().Sub(start))}, nil
}

// publishImage makes a file of an image and publishes it.
func (c *Compactor) publishImage(ctx context.Context, image Image, to merge.Target, progress Progress) (_ Made, err error) {
	build := func(opts merge.Options) (*merge.File, error) {
		return merge.FromImage(ctx, image, image.Size, to, opts)
	}
	return c.publish(ctx, to, progress, build)
}

// publish makes one file outside of a plan.
func (c *Compactor) publish(
	ctx context.Context, to merge.Target, progress Progress, build func(merge.Options) (*merge.File, error),
) (_ Made, err error) {
	start := c.opts.Now()
	target := to.File()
	progress.What = target.String()
	opts := c.mergeOptions(progress)
	f, err := build(opts)
	if err != nil {
		return Made{}, fmt.Errorf("make %s: %w", &target, explain(err))
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	p, err := merge.Publish(ctx, c.store, f, opts)
	if err != nil {
		return Made{}, fmt.Errorf("make %s: %w", &target, err)
	}
	return Made{
		Level: to.Level, Min: to.Min, Max: to.Max, Inputs: 1, Pages: p.Facts.Pages, Bytes: p.Facts.Size, Existed: p.Existed,
		Took: Seconds(c.opts.Now().Sub(start)),
	}, nil
}
