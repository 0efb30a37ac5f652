package compact

import (
	"context"
	"fmt"
	"time"

	"github.com/litefs-s3/litefs-s3/compact/merge"
	"github.com/litefs-s3/litefs-s3/index"
)

// Repair is a plan to close a gap.
//
// What is missing cannot be had back, and what lies above it cannot be opened: those files say what changed, not what
// was there. So the replica goes on from a whole state, published as a new transaction above all that are known. The
// state is the database of the primary when there is one, else the newest that can be opened, the one before the gap: then the
// changes above it are given up. Files of both are left where they are; moments before the gap stay openable.
//
// The writer must be stopped, and begin anew from what Repair has published: one that runs on knows nothing of
// it. Where the writer is alive and well, let it write a snapshot itself instead (litestream replicate -force-snapshot).
type Repair struct {
	At     time.Time  `json:"at"`
	Gap    Gap        `json:"gap"`
	Below  index.TXID `json:"below"`  // the newest transaction that can be opened
	GiveUp int        `json:"giveup"` // files above the gap, whose changes are lost unless an image has them
	New    index.TXID `json:"new"`    // the transaction to be made
	Bytes  int64      `json:"bytes"`  // to be read, when there is no image
	Cost   Cost       `json:"cost"`

	chain []index.File
	last  time.Time // of the newest transaction
}

// PlanRepair says what it takes to close the gap. When there is none that is ErrNoGap.
func (c *Compactor) PlanRepair(ctx context.Context) (*Repair, error) {
	catalog, err := c.list(ctx)
	if err != nil {
		return nil, err
	}
	d := c.draft(catalog)
	if d.plan.Gap == nil {
		return nil, ErrNoGap
	}
	r := &Repair{At: d.plan.At, Gap: *d.plan.Gap, Below: d.plan.Head, New: catalog.Max() + 1}
	for i := range catalog.Files {
		f := &catalog.Files[i]
		if f.Max <= r.Below {
			continue
		}
		r.GiveUp++
		if f.Max == catalog.Max() {
			if r.last, err = c.times.of(ctx, f); err != nil {
				return nil, err
			}
		}
	}
	if r.Below > 0 {
		chain, err := index.NewChains(catalog.Files).Chain(r.Below)
		if err != nil {
			return nil, err
		}
		for _, f := range chain {
			r.chain = append(r.chain, *f)
			r.Bytes += f.Size
		}
	}
	r.Cost = Cost{Puts: 2 * (1 + r.Bytes/partSize), Gets: 8 + 4*(int64(len(r.chain))+r.Bytes/rangeSize), Lists: 1,
		BytesRead: 4 * r.Bytes, BytesWritten: 2 * r.Bytes}.priced()
	return r, nil
}

// Repair carries out what PlanRepair has planned, from image, or without one from the newest state that can be opened. It writes the
// state twice: as transaction of level 0, where writers look for the last one, and then as a snapshot, which makes it
// reachable. If it is cut off in between the gap is still there, and it can be repeated.
func (c *Compactor) Repair(ctx context.Context, r *Repair, image *Image) (*Report, error) {
	start, before := c.opts.Now(), c.store.Stats()
	if image == nil && len(r.chain) == 0 {
		return nil, fmt.Errorf("no state of the replica can be opened; an image of the database is needed: %w", index.ErrGap)
	}
	report := &Report{}
	at := c.opts.Now()
	if at.Before(r.last) {
		at = r.last // times of transactions never go back
	}
	for i, to := range []merge.Target{
		{Level: 0, Min: r.New, Max: r.New},
		{Level: index.SnapshotLevel, Min: 1, Max: r.New},
	} {
		to.Timestamp, to.Complete, to.Restated = at, true, true
		progress := Progress{Step: i + 1, Steps: 2}
		m, err := c.publish(ctx, to, progress, func(opts merge.Options) (*merge.File, error) {
			if image != nil {
				return merge.FromImage(ctx, image, image.Size, to, opts)
			}
			return merge.Build(ctx, c.store, r.chain, to, opts)
		})
		if err != nil {
			return report, err
		}
		report.Made = append(report.Made, m)
	}
	report.Cost = counted(c.store.Stats().Sub(before))
	report.Took = Seconds(c.opts.Now().Sub(start))
	return report, nil
}
