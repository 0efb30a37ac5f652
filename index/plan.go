package index

import (
	"cmp"
	"slices"
)

// What opening a file costs, in bytes: a request is worth as many as arrive in the time it takes.
const (
	requestCost = 64 << 10
	loadedCost  = 1 << 10 // a file whose page table is here; not 0, so that many small files give way to one
)

// step is a TXID that some chain of files reaches, with the cheapest way there.
type step struct {
	txid TXID
	cost int64
	from int // the step before, -1 at the start
	file *File
}

// planner knows every TXID that the files of a catalog can be opened at, or gone on to from another one.
type planner struct {
	steps []step // by txid; steps[0] is where chains begin: the empty database before TXID 1, unless told otherwise
}

// newPlanner finds the cheapest chain to every TXID that can be reached. A chain starts with a file whose MinTXID is 1,
// which holds every page, and goes on with files that begin at or before the TXID after the one reached and end
// beyond it: overlap is normal, a gap is not. isLoaded tells files whose page table is here; it may be nil.
//
// The first compacted file of each level begins at TXID 1 and holds the whole database: such a file replaces the
// snapshot, instead of being laid over it, whenever that is cheaper.
func newPlanner(files []File, isLoaded func(*File) bool) *planner {
	return newPlannerFrom(0, files, isLoaded)
}

// newPlannerFrom finds the cheapest chains that go on from the database at a TXID. Files that hold the whole database
// from its beginning say nothing of what has changed since then, and are left out unless it is 0.
func newPlannerFrom(begin TXID, files []File, isLoaded func(*File) bool) *planner {
	order := make([]*File, 0, len(files))
	for i := range files {
		if begin == 0 || files[i].Min > 1 {
			order = append(order, &files[i])
		}
	}
	slices.SortFunc(order, func(a, b *File) int {
		return cmp.Or(cmp.Compare(a.Max, b.Max), cmp.Compare(a.Min, b.Min), cmp.Compare(b.Level, a.Level))
	})
	p := &planner{steps: []step{{txid: begin, from: -1}}}
	for _, f := range order {
		p.extend(f, fileCost(f, isLoaded != nil && isLoaded(f)))
	}
	return p
}

func fileCost(f *File, isLoaded bool) int64 {
	switch {
	case isLoaded:
		return loadedCost
	case f.Size <= wholeSize:
		return requestCost + f.Size
	}
	return 2*requestCost + f.Size/tailShare
}

// extend records what f reaches. Files come in order of MaxTXID.
func (p *planner) extend(f *File, cost int64) {
	first, _ := slices.BinarySearchFunc(p.steps, f.Min-1, func(s step, t TXID) int { return cmp.Compare(s.txid, t) })
	best := -1
	for i := first; i < len(p.steps) && p.steps[i].txid < f.Max; i++ {
		if best < 0 || p.steps[i].cost < p.steps[best].cost {
			best = i
		}
	}
	if best >= 0 {
		p.reach(step{txid: f.Max, cost: p.steps[best].cost + cost, from: best, file: f})
	}
}

func (p *planner) reach(s step) {
	last := &p.steps[len(p.steps)-1]
	switch {
	case last.txid < s.txid:
		p.steps = append(p.steps, s)
	case s.cost < last.cost:
		*last = s
	}
}

// head is the highest TXID that can be reached, 0 when there is none.
func (p *planner) head() TXID { return p.steps[len(p.steps)-1].txid }

// boundaries are the TXIDs that can be opened, ascending.
func (p *planner) boundaries() []TXID {
	txids := make([]TXID, 0, len(p.steps)-1)
	for _, s := range p.steps[1:] {
		txids = append(txids, s.txid)
	}
	return txids
}

// chain returns the files that give the database at txid, oldest first, or a ReachError.
func (p *planner) chain(txid TXID) ([]*File, error) {
	i, found := slices.BinarySearchFunc(p.steps, txid, func(s step, t TXID) int { return cmp.Compare(s.txid, t) })
	if !found || i == 0 {
		return nil, p.unreachable(txid, i)
	}
	var files []*File
	for ; i > 0; i = p.steps[i].from {
		files = append(files, p.steps[i].file)
	}
	slices.Reverse(files)
	return files, nil
}

// unreachable says what can be opened instead of txid, which would be the i-th step.
func (p *planner) unreachable(txid TXID, i int) error {
	e := &ReachError{TXID: txid, Last: p.head()}
	if len(p.steps) > 1 {
		e.First = p.steps[1].txid
	}
	if i > 0 {
		e.Before = p.steps[i-1].txid
	}
	if i > 0 && i < len(p.steps) {
		e.After = p.steps[i].txid
	}
	return e
}

// gap returns an error when files lie beyond what can be reached.
func (p *planner) gap(files []File) error {
	head := p.head()
	var next TXID
	for i := range files {
		if f := &files[i]; f.Max > head && (next == 0 || f.Min < next) {
			next = f.Min
		}
	}
	if next == 0 {
		return nil
	}
	return &GapError{After: head, Next: next}
}
