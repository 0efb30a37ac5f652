package index

import (
	"slices"
)

// table is the page table of one View: the segments of its plan, oldest first, and an order to search them in.
// It is immutable; extend returns a new one that shares what is old.
type table struct {
	segs []*segment // segs[0] holds every page of its commit size
	runs []run      // over segs[1:], oldest first
	// versions, for segments that took the place of others, keeps what was known before. Nil for all others.
	versions []*versions // as long as segs, or nil
}

// run is one sorted directory over a stretch of segments. The runs of a table grow in size from the newest to the oldest,
// so there are few of them, and adding a segment merges little.
type run struct {
	pages       pageList
	first, last int      // the stretch: numbers of segments in table.segs, last included
	segs        []uint16 // for each page the number of its segment in the stretch; nil when that is one segment
	commit      uint32   // the smallest commit size in the run: pages above it are not to be taken from anything older
}

// maxStretch is how many segments one run can tell apart.
const maxStretch = 1 << 16

// runGrowth is how many times larger than the next newer run a run must be to be left alone.
const runGrowth = 2

// newTable stacks the segments of a plan, oldest first. Everything below the last complete one is dropped.
func newTable(segs []*segment) *table {
	for i := len(segs) - 1; i > 0; i-- {
		if segs[i].dense() {
			segs = segs[i:]
			break
		}
	}
	t := &table{segs: slices.Clone(segs)} // a copy: what was dropped must not stay in memory
	for n, s := range segs[1:] {
		t.addRun(n+1, s)
	}
	return t
}

// extend returns the table with one more segment on top.
func (t *table) extend(s *segment) *table {
	if s.dense() {
		return &table{segs: []*segment{s}}
	}
	next := &table{
		segs: append(slices.Clip(t.segs), s),
		runs: slices.Clone(t.runs),
	}
	if t.versions != nil {
		next.versions = append(slices.Clip(t.versions), nil)
	}
	next.addRun(len(t.segs), s)
	return next
}

// addRun puts the n-th segment into the order to search in. The table is not published yet.
func (t *table) addRun(n int, s *segment) {
	t.runs = append(t.runs, run{first: n, last: n, pages: s.pages(), commit: s.commit})
	for n := len(t.runs); n >= 2 && t.runs[n-2].joins(&t.runs[n-1]); n-- {
		t.runs[n-2] = mergeRuns(&t.runs[n-2], &t.runs[n-1])
		t.runs = t.runs[:n-1]
	}
}

// joins reports whether r is to be merged with the next newer run.
func (r *run) joins(newer *run) bool {
	return r.pages.len() <= runGrowth*newer.pages.len() && newer.last-r.first < maxStretch
}

// seg is the segment that the i-th page of the run lies in.
func (r *run) seg(i int) int {
	if r.segs == nil {
		return r.first
	}
	return r.first + int(r.segs[i])
}

// mergeRuns lays newer over older. Pages that newer cut off are left out.
func mergeRuns(older, newer *run) run {
	n := older.pages.len() + newer.pages.len()
	m := run{
		pages: newPageList(n), segs: make([]uint16, 0, n),
		first: older.first, last: newer.last, commit: min(older.commit, newer.commit),
	}
	a, b := older.pages.cursor(), newer.pages.cursor()
	for {
		old, okOld := a.next()
		young, okYoung := b.next()
		switch {
		case !okOld && !okYoung:
			m.pages.trim()
			m.segs = trimmed(m.segs)
			return m
		case !okYoung || okOld && old < young:
			if old <= newer.commit {
				m.add(old, older.seg(a.i))
			}
			a.step()
		default:
			if okOld && old == young {
				a.step()
			}
			m.add(young, newer.seg(b.i))
			b.step()
		}
	}
}

// add appends a page that lies in segment seg.
func (r *run) add(pgno uint32, seg int) {
	r.pages.add(pgno)
	r.segs = append(r.segs, uint16(seg-r.first))
}

// place is where a table found a page: frame i of segment seg.
type place struct {
	seg int
	i   int
}

// find returns where the newest version of pgno lies. It does no I/O, takes no lock and allocates nothing.
func (t *table) find(pgno uint32) (place, bool) {
	for r := len(t.runs) - 1; r >= 0; r-- {
		run := &t.runs[r]
		if k, ok := run.pages.search(pgno); ok {
			seg := run.seg(k)
			if run.segs == nil {
				return place{seg, k}, true
			}
			i, ok := t.segs[seg].find(pgno)
			return place{seg, i}, ok
		}
		if pgno > run.commit {
			return place{}, false // cut off here: what is older is not this database's any more
		}
	}
	i, ok := t.segs[0].find(pgno)
	return place{0, i}, ok
}

// version is the TXID as of which the page at p is known.
func (t *table) version(p place) TXID {
	s := t.segs[p.seg]
	if t.versions != nil && t.versions[p.seg] != nil {
		return t.versions[p.seg].at(s.pgno(p.i))
	}
	return s.file.Max
}

// files returns the files of the segments, oldest first.
func (t *table) files() []File {
	files := make([]File, len(t.segs))
	for i, s := range t.segs {
		files[i] = *s.file
	}
	return files
}

// uses reports whether the table has pages in f.
func (t *table) uses(f *File) bool {
	return slices.ContainsFunc(t.segs, func(s *segment) bool { return s.file.id() == f.id() })
}

// bytes is the memory of the table's segments and runs.
func (t *table) bytes() (base, layers int64) {
	base = t.segs[0].bytes()
	for _, s := range t.segs[1:] {
		layers += s.bytes()
	}
	for _, r := range t.runs {
		if r.segs != nil || !t.segs[r.first].spelt { // else the pages are the segment's own
			layers += r.pages.bytes() + int64(2*cap(r.segs))
		}
	}
	for _, v := range t.versions {
		if v != nil {
			layers += v.bytes()
		}
	}
	return base, layers
}

// inherit gives t the versions that old knows, where t reads the same content from other files. Both are tables of
// one history; old is of TXID txid, and t is of txid or later.
//
// A page that t reads from a file which ends with b did not change after b. When b is at most txid it is what old had at
// txid: the version that old knows it by, be that before b or after it.
func (t *table) inherit(old *table, txid TXID) {
	t.versions = make([]*versions, len(t.segs))
	number := make(map[fileID]int, len(old.segs))
	for m, s := range old.segs {
		number[s.file.id()] = m
	}
	for n, s := range t.segs {
		if m, ok := number[s.file.id()]; ok {
			if old.versions != nil {
				t.versions[n] = old.versions[m]
			}
			continue
		}
		if s.file.Max > txid {
			continue
		}
		if s.dense() {
			t.versions[n] = old.versionsOfBase(s)
		} else {
			t.versions[n] = old.versionsOf(s)
		}
	}
	if !slices.ContainsFunc(t.versions, func(v *versions) bool { return v != nil }) {
		t.versions = nil
	}
}

func (t *table) indexOf(f *File) int {
	return slices.IndexFunc(t.segs, func(s *segment) bool { return s.file.id() == f.id() })
}

// versionsOf returns what t knows of the pages in the segment s of another table. What it says of pages that no table
// reads from s does not matter.
func (t *table) versionsOf(s *segment) *versions {
	v := newVersions(s.file.Max)
	pages := s.pages()
	for pgno := range pages.all() {
		if p, ok := t.find(pgno); ok {
			v.set(pgno, t.version(p))
		}
	}
	return v.done()
}

// versionsOfBase is versionsOf for a complete segment, in time that goes with what differs and not with the size of
// the database: what t does not know otherwise is as its own base was.
func (t *table) versionsOfBase(s *segment) *versions {
	base := &versions{rest: t.segs[0].file.Max}
	if t.versions != nil && t.versions[0] != nil {
		base = t.versions[0]
	}
	changed := slices.Collect(base.pages.all())
	for i := range t.runs {
		changed = slices.AppendSeq(changed, t.runs[i].pages.all())
	}
	slices.Sort(changed)

	v := newVersions(base.rest)
	for _, pgno := range slices.Compact(changed) {
		if p, ok := t.find(pgno); ok {
			v.set(pgno, t.version(p))
		}
	}
	return v.done()
}
