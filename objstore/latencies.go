package objstore

import (
	"math/bits"
	"time"
)

const (
	// sizeClasses is the number of lengths of ranges that are told apart: up to 64 KiB, 512 KiB, and more.
	sizeClasses = 3
	// prefixClass and listClass are what is told apart from them: beginnings of objects, most of them of some that are not there, and listings.
	prefixClass    = sizeClasses
	listClass      = sizeClasses + 1
	latencyClasses = sizeClasses + 2
	// enoughLatencies is how many requests have to be known before they say anything.
	enoughLatencies = 16
	// keptLatencies is about how many requests back the past counts.
	keptLatencies = 512
	// latencyUnit is the width of the lowest bucket.
	latencyUnit = 256 * time.Microsecond
	// latencyBuckets, four for each doubling, reach beyond a minute.
	latencyBuckets = 80
)

// sizeClass is the class of a read of n bytes.
func sizeClass(n int) int {
	switch {
	case n <= 64<<10:
		return 0
	case n <= 512<<10:
		return 1
	}
	return 2
}

// latencies is how long requests took of late: a histogram that forgets. The zero value knows nothing.
type latencies struct {
	counts [latencyBuckets]uint16
	total  int
}

// add counts one. When there are many, older ones count half from then on.
func (l *latencies) add(took time.Duration) {
	l.counts[latencyBucket(took)]++
	if l.total++; l.total < keptLatencies {
		return
	}
	l.total = 0
	for i := range l.counts {
		l.counts[i] /= 2
		l.total += int(l.counts[i])
	}
}

// quantile is a time that the share q did not exceed, to a fifth or so and rather more than less; 0 when nothing is known.
func (l *latencies) quantile(q float64) time.Duration {
	seen, want := 0, q*float64(l.total)
	for i, n := range l.counts {
		if seen += int(n); n > 0 && float64(seen) >= want {
			return latencyBound(i)
		}
	}
	return 0
}

// latencyBucket is the bucket of a time: the first four are one unit wide, and each four that follow twice as wide as the
// four before.
func latencyBucket(took time.Duration) int {
	units := uint64(max(took, 0) / latencyUnit)
	if units < 4 {
		return int(units)
	}
	exp := bits.Len64(units) - 3 // units>>exp is 4 to 7
	return min(exp*4+int(units>>exp), latencyBuckets-1)
}

// latencyBound is where a bucket ends.
func latencyBound(bucket int) time.Duration {
	if bucket < 4 {
		return time.Duration(bucket+1) * latencyUnit
	}
	exp := bucket/4 - 1
	return time.Duration(bucket%4+5) << exp * latencyUnit
}
