package hydrate

import (
	"cmp"
	"iter"
	"slices"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/internal/holes"
)

const (
	// maxRange is the most that one request fetches, in bytes.
	maxRange = 8 << 20
	// inFlight is the most that all requests together fetch, in bytes: the memory they take.
	inFlight = 32 << 20
	// streams is how many long requests share it. More only run when they are short, as those for scattered changes are.
	streams = 8
	// minRange is the least that a range is cut to when long ones do not come through.
	minRange = 16 << 10
	// goodRange is a range that is worth a request. Ranges are not made shorter to keep all workers busy.
	goodRange = 512 << 10
)

// job is one request: a range of a file, from the frame of a page on.
type job struct {
	first index.Page
	size  int64 // bytes
}

func (j *job) file() *index.File { return j.first.Frame.File }
func (j *job) off() int64        { return j.first.Frame.Off }

// pages yields the pages whose newest version lies in the range, in file order.
func (j *job) pages() iter.Seq[index.Page] {
	return j.first.Around(0, j.size-j.first.Frame.Size).Pages()
}

// plan yields the requests that fetch the given pages of a View, which come in ascending order, each from the file that holds its
// newest version. hole is how many bytes in between are fetched along rather than that what follows takes a request of its own, limit the
// longest range for now. What is long comes in the order of the pages; the rest at the end, newest file first. lost gets pages
// that no file holds.
func plan(v *index.View, pgnos iter.Seq[uint32], hole int64, limit func() int64, lost func(pgno uint32)) iter.Seq[job] {
	return func(yield func(job) bool) {
		open := map[*index.File]*job{}
		for pgno := range pgnos {
			p, ok := v.Lookup(pgno)
			if !ok {
				lost(pgno)
				continue
			}
			j := open[p.Frame.File]
			if j == nil {
				open[p.Frame.File] = &job{p, p.Frame.Size}
				continue
			}
			size := p.Frame.Off + p.Frame.Size - j.off()
			if size-p.Frame.Size-j.size <= hole && size <= limit() {
				j.size = size
				continue
			}
			if !yield(*j) {
				return
			}
			*j = job{p, p.Frame.Size}
		}
		rest := make([]*job, 0, len(open))
		for _, j := range open {
			rest = append(rest, j)
		}
		slices.SortFunc(rest, func(a, b *job) int {
			f, g := a.file(), b.file()
			return cmp.Or(cmp.Compare(g.Max, f.Max), cmp.Compare(g.Min, f.Min), cmp.Compare(f.Level, g.Level))
		})
		for _, j := range rest {
			if !yield(*j) {
				return
			}
		}
	}
}

// between is what may be wasted on holes.
var between = holes.Policy{Share: 32, Free: 16, Range: goodRange}

// survey is what a plan would have to fetch, and the holes between.
type survey struct {
	wanted int64 // bytes
	files  int
	holes  holes.Holes
}

// look surveys the pages of a View, which come in ascending order.
func look(v *index.View, pgnos iter.Seq[uint32]) *survey {
	s := new(survey)
	ends := map[*index.File]int64{}
	for pgno := range pgnos {
		p, ok := v.Lookup(pgno)
		if !ok {
			continue
		}
		s.wanted += p.Frame.Size
		end, seen := ends[p.Frame.File]
		if seen {
			s.holes.Add(p.Frame.Off - end)
		}
		ends[p.Frame.File] = p.Frame.Off + p.Frame.Size
	}
	s.files = len(ends)
	return s
}

// hole returns the longest hole to be fetched along.
func (s *survey) hole() int64 { return between.Longest(&s.holes, s.wanted, int64(s.files)) }
