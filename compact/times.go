package compact

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/superfly/ltx"
	"golang.org/x/sync/errgroup"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
)

// headersAtOnce bounds the headers that are read side by side.
const headersAtOnce = 16

// name tells files of one replica apart.
type name struct {
	level    int
	min, max index.TXID
}

func nameOf(f *index.File) name { return name{f.Level, f.Min, f.Max} }

// times knows when files end, by their headers. The time at which the store got a file says little: buckets are copied.
type times struct {
	store objstore.RangeReader

	mu    sync.Mutex
	known map[name]time.Time // guarded by mu
}

func (t *times) get(f *index.File) (time.Time, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at, ok := t.known[nameOf(f)]
	return at, ok
}

func (t *times) set(f *index.File, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.known == nil {
		t.known = map[name]time.Time{}
	}
	t.known[nameOf(f)] = at
}

// keep forgets all files but these.
func (t *times) keep(files []index.File) {
	t.mu.Lock()
	defer t.mu.Unlock()
	kept := make(map[name]time.Time, len(files))
	for i := range files {
		if at, ok := t.known[nameOf(&files[i])]; ok {
			kept[nameOf(&files[i])] = at
		}
	}
	t.known = kept
}

// of returns the time of the newest transaction in f.
func (t *times) of(ctx context.Context, f *index.File) (time.Time, error) {
	if at, ok := t.get(f); ok {
		return at, nil
	}
	var raw [ltx.HeaderSize]byte
	if err := t.store.ReadAt(ctx, f.Ref(), raw[:], 0); err != nil {
		return time.Time{}, fmt.Errorf("time of %s: %w", f, err)
	}
	var h ltx.Header
	if err := h.UnmarshalBinary(raw[:]); err != nil {
		return time.Time{}, fmt.Errorf("time of %s: %w: %w", f, err, index.ErrCorrupt)
	}
	at := time.UnixMilli(h.Timestamp).UTC()
	t.set(f, at)
	return at, nil
}

// windows parts files, which are in order of time, at the multiples of interval. Of files whose neighbours on both sides lie in one
// window nobody asks the time, so that a thousand files in a few windows cost a few headers, in as many waves as one has to
// halve a thousand.
func (t *times) windows(ctx context.Context, files []index.File, interval time.Duration) ([][]index.File, error) {
	if len(files) == 0 {
		return nil, nil
	}
	window := make([]int64, len(files))
	ends := []int{0, len(files) - 1}[:min(2, len(files))]
	if err := t.ask(ctx, files, ends, interval, window); err != nil {
		return nil, err
	}
	for open := [][2]int{{0, len(files) - 1}}; len(open) > 0; {
		var mids []int
		var next [][2]int
		for _, o := range open {
			switch lo, hi := o[0], o[1]; {
			case window[lo] == window[hi]:
				for i := lo + 1; i < hi; i++ {
					window[i] = window[lo]
				}
			case hi-lo > 1:
				mid := (lo + hi) / 2
				mids = append(mids, mid)
				next = append(next, [2]int{lo, mid}, [2]int{mid, hi})
			}
		}
		if err := t.ask(ctx, files, mids, interval, window); err != nil {
			return nil, err
		}
		open = next
	}
	var parts [][]index.File
	start := 0
	for i := 1; i <= len(files); i++ {
		if i == len(files) || window[i] != window[start] {
			parts = append(parts, files[start:i:i])
			start = i
		}
	}
	return parts, nil
}

// ask finds out the windows of some files, side by side.
func (t *times) ask(ctx context.Context, files []index.File, which []int, interval time.Duration, window []int64) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(headersAtOnce)
	for _, i := range which {
		g.Go(func() error {
			at, err := t.of(ctx, &files[i])
			window[i] = at.Truncate(interval).Unix()
			return err
		})
	}
	return g.Wait()
}
