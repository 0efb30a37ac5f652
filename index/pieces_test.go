package index

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/superfly/ltx"

	"github.com/litefs-s3/litefs-s3/objstore"
)

// remote is a file at some distance. Its last bytes come first.
type remote struct {
	*hugeFile
	latency time.Duration
	open    atomic.Int64 // requests under way
	gone    atomic.Int64 // those that were cancelled
	fail    func(off int64) error
}

func (r *remote) ReadAt(ctx context.Context, ref objstore.Ref, p []byte, off int64) error {
	r.open.Add(1)
	defer r.open.Add(-1)
	wait := r.latency
	if off+int64(len(p)) < r.size() {
		wait += time.Millisecond
	}
	select {
	case <-time.After(wait):
	case <-ctx.Done():
		r.gone.Add(1)
		return ctx.Err()
	}
	if r.fail != nil {
		if err := r.fail(off); err != nil {
			return err
		}
	}
	return r.hugeFile.ReadAt(ctx, ref, p, off)
}

func (r *remote) List(ctx context.Context, prefix, after string) (objstore.Page, error) {
	time.Sleep(r.latency)
	return r.hugeFile.List(ctx, prefix, after)
}

// Opening takes two waves whatever the size of the index, as long as it is about as long as others are: the listing, and everything else. What was asked
// for in vain is cancelled; an index that is longer takes one wave more.
func TestPieces_Waves(t *testing.T) {
	t.Parallel()
	const latency = 25 * time.Millisecond
	for _, test := range []struct {
		name      string
		pages     uint32
		frameSize int64
		waves     time.Duration
		cancels   bool
	}{
		{"of one request", 1000, 2000, 2, false},
		{"as long as guessed", 400_000, 1550, 2, false},
		{"shorter than guessed", 400_000, 3900, 2, true},
		{"longer than guessed", 400_000, 300, 3, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := &remote{hugeFile: newHugeFile(4096, test.pages, 9, test.frameSize), latency: latency}
				began := time.Now()
				tr := mustOpen(t, r)
				if took := time.Since(began); took < test.waves*latency || took > test.waves*(latency+time.Millisecond) {
					t.Errorf("took %v, want %d waves of %v", took, test.waves, latency)
				}
				if n := r.gone.Load(); (n > 0) != test.cancels {
					t.Errorf("%d requests were cancelled", n)
				}
				if n := r.open.Load(); n != 0 {
					t.Errorf("%d requests outlive the call", n)
				}
				checkHuge(t, tr.View(), r.hugeFile)
			})
		})
	}
}

// checkHuge looks up pages of a huge file all over it.
func checkHuge(t *testing.T, v *View, h *hugeFile) {
	t.Helper()
	for i := int64(0); i < h.n; i += 1 + h.n/997 {
		pgno := densePgno(h.header.PageSize, int(i))
		p, ok := v.Lookup(pgno)
		if want := ltx.HeaderSize + i*h.frameSize; !ok || p.Frame.Off != want || p.Frame.Size != h.frameSize {
			t.Fatalf("page %d: %+v, %v; want byte %d", pgno, p.Frame, ok, want)
		}
	}
}

// A request that fails ends the opening with its error, whichever it is, and none outlives it.
func TestPieces_Fails(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for _, frameSize := range []int64{300, 1700} { // with and without a third wave
		whole := newHugeFile(4096, 400_000, 9, frameSize)
		for share := range int64(10) {
			at := whole.indexStart() + share*whole.indexSize/10
			synctest.Test(t, func(t *testing.T) {
				r := &remote{hugeFile: newHugeFile(4096, 400_000, 9, frameSize), latency: time.Millisecond}
				met := false
				r.fail = func(off int64) error {
					if off <= at && at < off+chunkSize {
						met = true
						return broken
					}
					return nil
				}
				_, err := Open(t.Context(), r, Options{})
				if !met || !errors.Is(err, broken) {
					t.Errorf("byte %d: got %v", at, err)
				}
				if n := r.open.Load(); n != 0 {
					t.Errorf("byte %d: %d requests outlive the call", at, n)
				}
			})
		}
	}
}

// When many large databases are opened at once they take their time rather than all memory. Not parallel: what is counted is of the process.
func TestPieces_ManyAtOnce(t *testing.T) {
	const latency = 25 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		h := newHugeFile(4096, 500_000, 9, 1800)
		var openings sync.WaitGroup
		var waves atomic.Int64
		for range 40 {
			openings.Go(func() {
				r := &remote{hugeFile: h, latency: latency}
				began := time.Now()
				tr := mustOpen(t, r)
				if time.Since(began) < 3*latency {
					waves.Add(1)
				}
				checkHuge(t, tr.View(), h)
			})
		}
		synctest.Wait()
		time.Sleep(latency + time.Microsecond) // the listings
		synctest.Wait()
		if n := tails.Load(); n > maxTails+40*chunkSize || n < maxTails/2 {
			t.Errorf("40 openings have asked for %d bytes", n)
		}
		openings.Wait()
		if n := waves.Load(); n == 0 || n == 40 {
			t.Errorf("%d of 40 openings took two waves", n)
		}
	})
	if n := tails.Load(); n != 0 {
		t.Errorf("%d bytes are still counted", n)
	}
}
