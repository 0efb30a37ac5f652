package compact

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/litefs-s3/litefs-s3/index"
)

// level plans the files of a level that are due. They are made of what the level below has beyond them. A file takes what
// lies within one interval, so it does not matter how often or how late one looks, or who: the same files come out.
func (d *drafting) level(ctx context.Context, level int) error {
	interval := d.c.opts.Levels[level-1]
	var top index.TXID
	if newest := d.newest(level); newest != nil {
		top = newest.Max
	}
	for _, run := range runs(beyond(d.files, level-1, top)) {
		if d.leaveWhole(level, &run[0]) {
			run = run[1:]
		}
		parts, err := d.c.times.windows(ctx, run, interval)
		if err != nil {
			return err
		}
		if err := d.addWindows(ctx, level, interval, parts); err != nil {
			return err
		}
	}
	return nil
}

// addWindows plans a file for each window that is over, up to the first that is not.
func (d *drafting) addWindows(ctx context.Context, level int, interval time.Duration, parts [][]index.File) error {
	for i, part := range parts {
		last := &part[len(part)-1]
		at, err := d.c.times.of(ctx, last)
		if err != nil {
			return err
		}
		if !d.over(part, at.Truncate(interval).Add(interval), interval) {
			return nil
		}
		if len(part) == 1 && part[0].Min == 1 { // the same again, in another place: it waits for company
			if i+1 < len(parts) {
				parts[i+1] = append(part, parts[i+1]...)
			}
			continue
		}
		d.add(level, part, at, d.snapshotSteps()...)
	}
	return nil
}

// over reports whether nothing more is to be expected in the window that ends then. A writer whose clock is far ahead
// must not hold things up for ever, so what has been in the store for long enough counts too.
func (d *drafting) over(part []index.File, end time.Time, interval time.Duration) bool {
	var stored time.Time
	for i := range part {
		if part[i].Modified.After(stored) {
			stored = part[i].Modified
		}
	}
	settle := d.c.opts.Settle
	return !d.plan.At.Before(end.Add(settle)) || !d.plan.At.Before(stored.Add(interval+settle))
}

// beyond returns the files of a level that end after top, in order, without those that lie within another one.
func beyond(files []index.File, level int, top index.TXID) []index.File {
	var found []index.File
	for _, f := range files {
		if f.Level == level && f.Max > top {
			found = append(found, f)
		}
	}
	slices.SortFunc(found, func(a, b index.File) int {
		return cmp.Or(cmp.Compare(a.Min, b.Min), cmp.Compare(b.Max, a.Max))
	})
	var last index.TXID
	return slices.DeleteFunc(found, func(f index.File) bool {
		inside := f.Max <= last
		last = max(last, f.Max)
		return inside
	})
}

// runs parts files where transactions between them are missing.
func runs(files []index.File) [][]index.File {
	var all [][]index.File
	start := 0
	for i := range files {
		if i+1 == len(files) || files[i+1].Min > files[i].Max+1 {
			all = append(all, files[start:i+1:i+1])
			start = i + 1
		}
	}
	return all
}

// leaveWhole reports whether f holds the whole database and need not be copied into the level: from level 1 on such files stay until
// a snapshot replaces them. At level 0 they stay only if a snapshot covers them, because a Litestream that takes over
// removes everything from level 0 that lies below the end of level 1.
func (d *drafting) leaveWhole(level int, f *index.File) bool {
	if f.Min != 1 {
		return false
	}
	snapshot := d.newest(index.SnapshotLevel)
	return level > 1 || snapshot != nil && snapshot.Max >= f.Max
}

// wholeAtBottom reports whether level 0 begins with the whole database, and no snapshot covers that, and there is more: then a
// snapshot made first saves every level a copy of the database.
func (d *drafting) wholeAtBottom() bool {
	var top index.TXID
	if newest := d.newest(1); newest != nil {
		top = newest.Max
	}
	files := beyond(d.files, 0, top)
	return len(files) > 1 && files[0].Min == 1 && !d.leaveWhole(1, &files[0])
}

// snapshotIfDue plans a snapshot when there is news and none was made since the last multiple of the interval.
func (d *drafting) snapshotIfDue(ctx context.Context) {
	interval := d.c.opts.SnapshotInterval
	newest := d.newest(index.SnapshotLevel)
	if interval < 0 || newest != nil && !newest.Modified.Before(d.plan.At.Truncate(interval)) {
		return
	}
	d.snapshot(ctx)
}

// snapshot plans one of the newest state, unless there is a file that is just that already.
func (d *drafting) snapshot(ctx context.Context) {
	chains := index.NewChains(d.files)
	chain, err := chains.Chain(chains.Head())
	if err != nil || len(chain) == 1 {
		return // nothing can be opened, or one file holds all there is
	}
	at, err := d.c.times.of(ctx, chain[len(chain)-1])
	if err != nil {
		d.problem(err)
		return
	}
	files := make([]index.File, len(chain))
	for i, f := range chain {
		files[i] = *f
	}
	d.add(index.SnapshotLevel, files, at)
}

// snapshotSteps is the step of this plan that makes a snapshot, if there is one: files that leave out what it covers come after it.
func (d *drafting) snapshotSteps() []int {
	if i, ok := d.last[index.SnapshotLevel]; ok {
		return []int{i}
	}
	return nil
}
