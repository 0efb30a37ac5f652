package compact

import (
	"slices"
	"time"

	"github.com/litefs-s3/litefs-s3/index"
)

// Deletion is a file that may be removed, and the file because of which.
type Deletion struct {
	Level int        `json:"level"`
	Min   index.TXID `json:"min_txid"`
	Max   index.TXID `json:"max_txid"`
	Bytes int64      `json:"bytes"`
	By    string     `json:"by"` // the file that replaces it

	file, by index.File
}

// retention decides what may be removed from a replica at a moment.
//
// What is promised to stay: every moment within the last Retention that ends a file of level 1 or above; every single
// transaction of the last L0Retention; and the newest state. Two rules name candidates:
//
//   - A file of level 0 that a file of level 1 to 8 holds, when both have been there long enough.
//   - A file that ends before or with the base: the newest snapshot that is older than Retention. Whoever goes back to
//     the beginning of the window starts from the base.
//
// The newest file of each level stays, because followers and writers look for it. Then the promise is checked: for every
// moment that could be opened before and ends a file that stays, there must still be a chain; where there is none the chain of
// before stays too.
type retention struct {
	opts Options
	now  time.Time
}

func (r retention) removable(files []index.File) []Deletion {
	if r.opts.Retention < 0 {
		return nil
	}
	before := index.NewChains(files)
	base, merged, newest := r.base(files), r.merged(files, before), newestFiles(files)
	going := map[name]Deletion{}
	young := false // level 0 goes from its old end only
	for i := range files {
		f := &files[i]
		young = young || f.Level == 0 && !r.olderThan(f, r.opts.L0Retention)
		if newest[nameOf(f)] {
			continue
		}
		var by *index.File
		switch {
		case base != nil && f.Max <= base.Max && nameOf(f) != nameOf(base) && r.olderThan(f, r.opts.Grace):
			by = base
		case f.Level == 0 && f.Min > 1 && !young: // a whole database is a moment of its own
			by = holder(merged, f)
		}
		if by != nil {
			going[nameOf(f)] = Deletion{f.Level, f.Min, f.Max, f.Size, by.String(), *f, *by}
		}
	}
	r.keepPromise(files, before, base, going)
	return inOrder(files, going)
}

// newestFiles are the files that end their level.
func newestFiles(files []index.File) map[name]bool {
	all := map[name]bool{}
	for level := range index.MaxLevel + 1 {
		if f := newestOf(files, level); f != nil {
			all[nameOf(f)] = true
		}
	}
	return all
}

// base is the newest snapshot that is older than the window, nil when there is none.
func (r retention) base(files []index.File) *index.File {
	var base *index.File
	for i := range files {
		f := &files[i]
		if f.Level == index.SnapshotLevel && r.olderThan(f, max(r.opts.Retention, r.opts.Grace)) && (base == nil || f.Max > base.Max) {
			base = f
		}
	}
	return base
}

// merged returns the files of levels 1 to 8 that single transactions may go for: they can be opened, and have been there for
// the time of grace.
func (r retention) merged(files []index.File, chains *index.Chains) []*index.File {
	txids := chains.TXIDs()
	var all []*index.File
	for i := range files {
		f := &files[i]
		if f.Level == 0 || f.Level == index.SnapshotLevel || !r.olderThan(f, r.opts.Grace) {
			continue
		}
		if _, reached := slices.BinarySearch(txids, f.Max); reached {
			all = append(all, f)
		}
	}
	return all
}

// holder returns a file that holds all of f, nil when there is none.
func holder(merged []*index.File, f *index.File) *index.File {
	for _, by := range merged {
		if by.Min <= f.Min && f.Max <= by.Max {
			return by
		}
	}
	return nil
}

// olderThan goes by the time the store got the file: it may be later than that of its content, never much earlier.
func (r retention) olderThan(f *index.File, d time.Duration) bool { return r.now.Sub(f.Modified) > d }

// keepPromise takes out of going what a promised moment needs.
func (r retention) keepPromise(files []index.File, before *index.Chains, base *index.File, going map[name]Deletion) {
	for len(going) > 0 {
		staying := slices.DeleteFunc(slices.Clone(files), func(f index.File) bool {
			_, gone := going[nameOf(&f)]
			return gone
		})
		after := index.NewChains(staying).TXIDs()
		kept := 0
		for i := range staying {
			f := &staying[i]
			if base != nil && f.Max < base.Max {
				continue // before the window
			}
			if _, reached := slices.BinarySearch(after, f.Max); reached {
				continue
			}
			chain, err := before.Chain(f.Max)
			if err != nil {
				continue // beyond a gap: it could not be opened before either
			}
			for _, needed := range chain {
				if _, ok := going[nameOf(needed)]; ok {
					delete(going, nameOf(needed))
					kept++
				}
			}
		}
		if kept == 0 {
			return
		}
	}
}

func inOrder(files []index.File, going map[name]Deletion) []Deletion {
	var all []Deletion
	for i := range files {
		if d, ok := going[nameOf(&files[i])]; ok {
			all = append(all, d)
		}
	}
	return all
}
