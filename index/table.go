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
	segs   []int32  // number of the segment in table.segs, a page each; nil when the run is the one segment only
	pgnos  []uint32 // ascending
	only   int32
	commit uint32 // the smallest commit size in the run: pages above it are not to be taken from anything older
}

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
		t.addRun(int32(n+1), s)
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
	next.addRun(int32(len(t.segs)), s)
	return next
}

// addRun puts the n-th segment into the order to search in. The table is not published yet.
func (t *table) addRun(n int32, s *segment) {
	t.runs = append(t.runs, run{only: n, pgnos: s.pages(), commit: s.commit})
	for n := len(t.runs); n >= 2 && len(t.runs[n-2].pgnos) <= runGrowth*len(t.runs[n-1].pgnos); n-- {
		t.runs[n-2] = mergeRuns(t.runs[n-2], t.runs[n-1])
		t.runs = t.runs[:n-1]
	}
}

// pages returns the segment's page numbers, spelt out.
func (s *segment) pages() []uint32 {
	if s.pgnos != nil {
		return s.pgnos
	}
	pgnos := make([]uint32, s.n)
	for i := range pgnos {
		pgnos[i] = densePgno(s.pageSize, i)
	}
	return pgnos
}

// seg is the segment that the i-th page of the run lies in.
func (r *run) seg(i int) int32 {
	if r.segs == nil {
		return r.only
	}
	return r.segs[i]
}

// mergeRuns lays newer over older. Pages that newer cut off are left out.
func mergeRuns(older, newer run) run {
	n := len(older.pgnos) + len(newer.pgnos)
	m := run{segs: make([]int32, 0, n), pgnos: make([]uint32, 0, n), commit: min(older.commit, newer.commit)}
	i, j := 0, 0
	for i < len(older.pgnos) || j < len(newer.pgnos) {
		switch {
		case j == len(newer.pgnos) || i < len(older.pgnos) && older.pgnos[i] < newer.pgnos[j]:
			if older.pgnos[i] <= newer.commit {
				m.pgnos, m.segs = append(m.pgnos, older.pgnos[i]), append(m.segs, older.seg(i))
			}
			i++
		default:
			if i < len(older.pgnos) && older.pgnos[i] == newer.pgnos[j] {
				i++
			}
			m.pgnos, m.segs = append(m.pgnos, newer.pgnos[j]), append(m.segs, newer.seg(j))
			j++
		}
	}
	return m
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
		if k, ok := search(run.pgnos, pgno); ok {
			seg := int(run.seg(k))
			if run.segs == nil && t.segs[seg].pgnos != nil {
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

// search is slices.BinarySearch without branches to mispredict, which for random pages take most of its time. When pgno is
// not there, the number it returns means nothing.
func search(pgnos []uint32, pgno uint32) (int, bool) {
	at := 0
	for n := len(pgnos); n > 1; {
		half := n / 2
		past := (int64(pgno) - int64(pgnos[at+half])) >> 63 // -1 when pgno is before the middle, else 0
		at += half &^ int(past)
		n -= half
	}
	return at, at < len(pgnos) && pgnos[at] == pgno
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
		if r.segs != nil || t.segs[r.only].pgnos == nil { // else the pages are the segment's own
			layers += int64(4*cap(r.pgnos) + 4*cap(r.segs))
		}
	}
	for _, v := range t.versions {
		if v != nil {
			layers += int64(4*cap(v.pgnos) + 8*cap(v.txids))
		}
	}
	return base, layers
}

// versions says as of which TXID the pages of a segment are known, where that is not the segment's own MaxTXID:
// compaction moved them, it did not make them.
type versions struct {
	rest  TXID     // all other pages
	pgnos []uint32 // ascending
	txids []TXID   // of the page with the same number
}

func (v *versions) at(pgno uint32) TXID {
	if i, ok := search(v.pgnos, pgno); ok {
		return v.txids[i]
	}
	return v.rest
}

func (v *versions) set(pgno uint32, txid TXID) {
	v.pgnos, v.txids = append(v.pgnos, pgno), append(v.txids, txid)
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
	v := &versions{rest: s.file.Max}
	for i := range s.n {
		pgno := s.pgno(i)
		if p, ok := t.find(pgno); ok {
			if known := t.version(p); known != s.file.Max {
				v.set(pgno, known)
			}
		}
	}
	return v
}

// versionsOfBase is versionsOf for a complete segment, in time that goes with what differs and not with the size of
// the database: what t does not know otherwise is as its own base was.
func (t *table) versionsOfBase(s *segment) *versions {
	base := &versions{rest: t.segs[0].file.Max}
	if t.versions != nil && t.versions[0] != nil {
		base = t.versions[0]
	}
	changed := slices.Clone(base.pgnos)
	for _, r := range t.runs {
		changed = append(changed, r.pgnos...)
	}
	slices.Sort(changed)

	v := &versions{rest: base.rest}
	for _, pgno := range slices.Compact(changed) {
		if p, ok := t.find(pgno); ok {
			if known := t.version(p); known != v.rest {
				v.set(pgno, known)
			}
		}
	}
	return v
}
