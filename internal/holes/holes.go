// Package holes decides which gaps between wanted ranges of a file are fetched along with them, for a request costs as much as many
// bytes.
//
//	policy := holes.Policy{Share: 16, Free: 64, Range: 512 << 10}
//	for … { between.Add(gap) }
//	longest := policy.Longest(&between, wantedBytes, files)
package holes

import "math/bits"

// Max is the longest hole that is ever fetched along, in bytes: one that costs as much as a request.
const Max = 64<<10 - 1

// Policy is what may be wasted to save requests.
type Policy struct {
	Share int64 // holes add one byte to so many wanted ones
	Free  int64 // requests that are made rather than that more is wasted
	Range int64 // bytes that are worth a request
}

// Holes are those between wanted ranges. The zero value has none.
type Holes struct {
	sizes [64]struct{ n, bytes int64 } // of a length of so many bits
}

// Add adds a hole of so many bytes. One of none or less is no hole.
func (h *Holes) Add(bytes int64) { h.add(bytes, 1) }

func (h *Holes) add(bytes, n int64) {
	if bytes > 0 {
		s := &h.sizes[bits.Len64(uint64(bytes))]
		s.n += n
		s.bytes += n * bytes
	}
}

// Longest returns the length of the longest hole to be fetched along, in bytes. wanted is how many bytes are, and runs is how many
// requests there were if all holes went along: one a file, as a rule. Short holes go along as long as they add little. Beyond that they
// do only until what is left takes no more than a request for each Range, for a database whose changes lie scattered would else take
// one for every few pages.
func (p Policy) Longest(h *Holes, wanted, runs int64) int64 {
	requests, waste := runs, int64(0)
	for _, s := range h.sizes {
		requests += s.n
	}
	longest := int64(0)
	for i, s := range h.sizes[:bits.Len(Max)+1] {
		enough := requests <= p.Free+wanted/p.Range
		switch {
		case s.n == 0:
		case waste+s.bytes > wanted/p.Share && enough:
			return longest
		default:
			longest, waste, requests = int64(1)<<i-1, waste+s.bytes, requests-s.n
		}
	}
	return longest
}
