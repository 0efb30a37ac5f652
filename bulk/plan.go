package bulk

import (
	"cmp"
	"fmt"
	"iter"
	"slices"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/internal/holes"
)

const (
	// maxRange is the most that one request fetches, in bytes.
	maxRange = 4 << 20
	// goodRange is a range that is worth a request. Ranges are not made shorter to keep all workers busy.
	goodRange = 512 << 10
)

// between is what may be wasted on holes.
var between = holes.Policy{Share: 16, Free: 64, Range: goodRange}

// job is one request: a range of a file, from the frame of one page to that of another.
type job struct {
	span index.Span
}

func (j *job) size() int64 { return j.span.Size }

// inOrder are the files of a View in the order in which they are read: those that will be gone first come first.
func inOrder(v *index.View) []*index.File {
	files := v.Files()
	slices.SortStableFunc(files, func(a, b *index.File) int {
		return cmp.Or(cmp.Compare(a.Level, b.Level), cmp.Compare(a.Max, b.Max))
	})
	return files
}

// wantedIn yields those wanted pages whose newest version lies in the span, in file order.
func wantedIn(s index.Span, commit uint32, wanted *pageSet) iter.Seq[index.Page] {
	return func(yield func(index.Page) bool) {
		for p := range s.Pages() {
			if p.Pgno <= commit && wanted.has(p.Pgno) && !yield(p) {
				return
			}
		}
	}
}

// plan yields the requests for the wanted pages of one file. hole is how many bytes in between are fetched along rather than that
// what follows takes a request of its own, limit the longest range.
func plan(v *index.View, f *index.File, wanted *pageSet, hole, limit int64) iter.Seq[job] {
	return func(yield func(job) bool) {
		whole, ok := v.Whole(f)
		if !ok {
			return
		}
		var first, last index.Page // of the range that grows; Pgno 0 is none
		for p := range wantedIn(whole, v.Commit, wanted) {
			gap := p.Frame.Off - (last.Frame.Off + last.Frame.Size)
			size := p.Frame.Off + p.Frame.Size - first.Frame.Off
			switch {
			case first.Pgno == 0:
				first = p
			case gap > hole || size > limit:
				if !yield(job{whole.Between(first, last)}) {
					return
				}
				first = p
			}
			last = p
		}
		if first.Pgno != 0 {
			yield(job{whole.Between(first, last)})
		}
	}
}

// survey is what a plan has to fetch, and the holes between.
type survey struct {
	wanted int64 // bytes
	pages  int64
	files  []FileShare
	holes  holes.Holes
}

// look surveys the wanted pages of a View.
func look(v *index.View, wanted *pageSet) *survey {
	s := new(survey)
	for _, f := range inOrder(v) {
		share, end := FileShare{File: f}, int64(0)
		whole, _ := v.Whole(f) // an empty span when it holds nothing
		for p := range wantedIn(whole, v.Commit, wanted) {
			share.Pages++
			share.Bytes += p.Frame.Size
			if end > 0 {
				s.holes.Add(p.Frame.Off - end)
			}
			end = p.Frame.Off + p.Frame.Size
		}
		if share.Pages > 0 {
			s.files = append(s.files, share)
			s.wanted += share.Bytes
			s.pages += share.Pages
		}
	}
	return s
}

// hole returns the longest hole to be fetched along.
func (s *survey) hole() int64 { return between.Longest(&s.holes, s.wanted, int64(len(s.files))) }

// limit returns how long ranges may be: so that all streams have something to do, but not shorter than what is worth a request.
func (s *survey) limit() int64 { return min(maxRange, max(goodRange, s.wanted/(2*streams))) }

// missing returns an error that names the first wanted page that no file holds, or nil.
func missing(v *index.View, wanted *pageSet) error {
	for pgno := range wanted.all() {
		if _, ok := v.Version(pgno); !ok {
			return fmt.Errorf("page %d of %d has no frame at txid %s; restore an earlier moment, or have the writer make a new snapshot: %w",
				pgno, v.Commit, v.TXID, index.ErrCorrupt)
		}
	}
	return nil
}

// FileShare is what one file contributes.
type FileShare struct {
	File     *index.File
	Pages    int64 // whose newest version lies in it
	Bytes    int64 // of their frames
	Fetch    int64 // bytes that are fetched for them, holes included
	Requests int64
}

// Shares tells what copying the given pages of v will take, file by file in the order in which they are read, when nothing is held. It asks
// nobody. A page that no file holds is index.ErrCorrupt.
func Shares(v *index.View, pgnos iter.Seq[uint32]) ([]FileShare, error) {
	wanted := newPageSet(v.Commit, pgnos)
	if err := missing(v, wanted); err != nil {
		return nil, err
	}
	s := look(v, wanted)
	for i := range s.files {
		for j := range plan(v, s.files[i].File, wanted, s.hole(), s.limit()) {
			s.files[i].Fetch += j.size()
			s.files[i].Requests++
		}
	}
	return s.files, nil
}
