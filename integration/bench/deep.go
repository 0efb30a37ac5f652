package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/sidecar"
)

// deepPages is the size of a database of 10.6 GB. The disk need not hold it: opening reads its page index and no page.
const deepPages = 2_600_000

// far is a paper store at some distance, and a sidecar beside the file in it. Only the distance takes time: the bytes do not.
type far struct {
	*paper
	latency time.Duration
	sidecar []byte // nil when there is none
	gets    atomic.Int64

	mu    sync.Mutex
	busy  int // requests under way; guarded by mu
	waves int // how often one began when none was; guarded by mu
}

func (s *far) wait(ctx context.Context) error {
	s.mu.Lock()
	if s.busy++; s.busy == 1 {
		s.waves++
	}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.busy--
	}()
	select {
	case <-time.After(s.latency):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *far) List(ctx context.Context, prefix, startAfter string) (objstore.Page, error) {
	if err := s.wait(ctx); err != nil {
		return objstore.Page{}, err
	}
	return s.paper.List(ctx, prefix, startAfter)
}

func (s *far) ReadAt(ctx context.Context, ref objstore.Ref, p []byte, off int64) error {
	s.gets.Add(1)
	if err := s.wait(ctx); err != nil {
		return err
	}
	return s.paper.ReadAt(ctx, ref, p, off)
}

func (s *far) ReadPrefix(ctx context.Context, ref objstore.Ref, n int64) (objstore.Part, error) {
	s.gets.Add(1)
	if err := s.wait(ctx); err != nil {
		return objstore.Part{}, err
	}
	if ref.Key != sidecar.Key || s.sidecar == nil {
		return objstore.Part{}, fmt.Errorf("read of %s: %w", ref.Key, objstore.ErrNotFound)
	}
	size := int64(len(s.sidecar))
	return objstore.Part{Data: s.sidecar[:min(n, size)], Size: size, ETag: "sidecar"}, nil
}

// measureDeep opens the page table of a database larger than the others, from its file and with a sidecar that holds the table, as the
// packages below the driver do: no schema is read, and no page.
func measureDeep(ctx context.Context, b *bench) error {
	file, err := newPaper(uint32(b.times(deepPages)))
	if err != nil {
		return err
	}
	var side []byte
	for _, how := range []string{"files", "sidecar"} {
		var took, cpu []time.Duration
		var store *far
		for range 5 {
			store = &far{paper: file, latency: b.Latency, sidecar: side}
			t := startTimer()
			tracker, err := openDeep(ctx, store)
			if err != nil {
				return err
			}
			wall, used := t.stop()
			took, cpu = append(took, wall), append(cpu, used)
			if v := tracker.View(); side == nil && len(took) == 5 {
				side = (&sidecar.Sidecar{TXID: v.TXID, Made: time.Now(), Layouts: v.Layouts()}).Encode()
			}
		}
		read := len(file.tail)
		if how == "sidecar" {
			read = len(side)
		}
		b.add(fmt.Sprintf("pages=%d/how=%s", b.times(deepPages), how),
			figure{"open", millis, ms(median(took))}, figure{"CPU", millis, ms(median(cpu))}, figure{"GETs", count, float64(store.gets.Load())},
			figure{"waves", count, float64(store.waves)}, figure{"index", byteSize, float64(read)})
	}
	return nil
}

// openDeep opens the page table with what a sidecar says, if there is one.
func openDeep(ctx context.Context, store *far) (*index.Tracker, error) {
	var failed error
	tracker, err := index.Open(ctx, store, index.Options{PollInterval: -1, Layouts: func(ctx context.Context) []*index.Layout {
		s, err := sidecar.Read(ctx, store)
		switch {
		case err == nil:
			return s.Layouts
		case !errors.Is(err, objstore.ErrNotFound) && ctx.Err() == nil:
			failed = err
		}
		return nil
	}})
	return tracker, errors.Join(err, failed)
}
