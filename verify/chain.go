package verify

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/superfly/ltx"

	"github.com/litefs-s3/litefs-s3/index"
)

// facts are what is kept of a file that was checked, to compare it with others.
type facts struct {
	file     index.File
	pageSize uint32
	commit   uint32 // size of the database after the file, in pages
	solid    uint32 // the file holds every page from this one up to the commit size; commit+1 when it lacks the last one
}

func factsOf(l *index.Layout) facts {
	f := facts{file: *l.File(), pageSize: l.PageSize(), commit: l.Commit()}
	next, lock := uint32(0), ltx.LockPgno(f.pageSize) // next is what would not break the run of pages
	for pgno := range l.Pgnos() {
		if pgno != next {
			f.solid = pgno
		}
		if next = pgno + 1; next == lock {
			next++
		}
	}
	if next <= f.commit || next == 0 {
		f.solid = f.commit + 1
	}
	return f
}

// lacks returns the last of the pages above size that the file does not hold; 0 when it has them all.
func (f *facts) lacks(size uint32) uint32 {
	last := f.solid - 1
	if last == ltx.LockPgno(f.pageSize) {
		last--
	}
	if last <= size {
		return 0
	}
	return last
}

// compareAll looks for files that contradict each other.
func compareAll(all []facts) (problems []Problem) {
	slices.SortFunc(all, func(a, b facts) int {
		return cmp.Or(cmp.Compare(a.file.Max, b.file.Max), cmp.Compare(a.file.Level, b.file.Level), cmp.Compare(a.file.Min, b.file.Min))
	})
	report := func(f *facts, format string, args ...any) {
		text := fmt.Sprintf("%s: %s", &f.file, fmt.Sprintf(format, args...))
		problems = append(problems, Problem{Outcome: Bad, Key: f.file.Key(), Text: text, Err: index.ErrCorrupt})
	}
	for i := range all {
		f := &all[i]
		if g := &all[0]; f.pageSize != g.pageSize {
			report(f, "has pages of %d bytes, and %s of %d; a replica has one page size", f.pageSize, &g.file, g.pageSize)
			continue
		}
		if i > 0 && all[i-1].file.Max == f.file.Max && all[i-1].commit != f.commit {
			report(f, "says that the database has %d pages at that moment, and %s says %d", f.commit, &all[i-1].file, all[i-1].commit)
		}
		if from, size := smallest(all, f); size < f.commit && f.lacks(size) != 0 {
			report(f, "page %d is missing: the database grew from %d pages at txid %s to %d, and the file must hold all that it grew by",
				f.lacks(size), size, from, f.commit)
		}
	}
	return problems
}

// smallest returns the smallest size that the database is known to have had at a moment which f goes on from: the one before it, or one
// within it. All above that was written by a transaction of f. all is sorted by MaxTXID.
func smallest(all []facts, f *facts) (at index.TXID, size uint32) {
	if f.file.Min == 1 {
		return 0, 0
	}
	first, _ := slices.BinarySearchFunc(all, f.file.Min-1, func(g facts, txid index.TXID) int { return cmp.Compare(g.file.Max, txid) })
	size = f.commit
	for i := first; i < len(all) && all[i].file.Max < f.file.Max; i++ {
		if all[i].commit < size {
			at, size = all[i].file.Max, all[i].commit
		}
	}
	return at, size
}

// chainProblems looks for transactions that no chain of files leads to.
func chainProblems(c *index.Catalog, r *Report) {
	chains := index.NewChains(c.Files)
	moments, gap := chains.TXIDs(), chains.Gap()
	r.Moments = len(moments)
	if len(moments) > 0 {
		r.Head = moments[len(moments)-1]
	}
	if gap != nil {
		r.Problems = append(r.Problems, Problem{Outcome: Bad, Text: gap.Error(), Err: gap})
		return
	}
	stranded := 0
	for i := range c.Files {
		f := &c.Files[i]
		if _, ok := slices.BinarySearch(moments, f.Max); !ok && len(moments) > 0 && f.Max > moments[0] {
			stranded++
		}
	}
	if stranded > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("%d files belong to moments that cannot be opened: files before them are missing; newer moments are not touched by that", stranded))
	}
}
