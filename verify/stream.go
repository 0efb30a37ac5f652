package verify

import (
	"context"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
)

const (
	// windowSize is how much of a file one request fetches, in bytes.
	windowSize = 2 << 20
	// windowsAhead is how many requests are made before their bytes are wanted.
	windowsAhead = 3
)

// stream reads a file from its first byte to its last, in ranges a few of which are always under way: no connection waits while
// bytes are checked.
type stream struct {
	ctx    context.Context // of this one file's check; a stream lives no longer
	cancel context.CancelFunc
	store  objstore.RangeReader
	file   *index.File
	asked  int64         // up to where windows were asked for
	queue  []chan window // under way, oldest first
	cur    []byte        // of the window that is being consumed
	joined []byte        // for what lies in two windows
	read   int64         // bytes that came
}

type window struct {
	data []byte
	err  error
}

func newStream(ctx context.Context, store objstore.RangeReader, f *index.File) *stream {
	ctx, cancel := context.WithCancel(ctx)
	return &stream{ctx: ctx, cancel: cancel, store: store, file: f}
}

// next returns the n bytes that follow. They are good until the next call.
func (s *stream) next(n int64) ([]byte, error) {
	if int64(len(s.cur)) >= n {
		b := s.cur[:n]
		s.cur = s.cur[n:]
		return b, nil
	}
	s.joined = s.joined[:0]
	for int64(len(s.joined)) < n {
		if len(s.cur) == 0 {
			if err := s.fill(); err != nil {
				return nil, err
			}
		}
		k := min(int64(len(s.cur)), n-int64(len(s.joined)))
		s.joined = append(s.joined, s.cur[:k]...)
		s.cur = s.cur[k:]
	}
	return s.joined, nil
}

// fill waits for the next window, and asks for another.
func (s *stream) fill() error {
	for s.asked < s.file.Size && len(s.queue) < windowsAhead {
		off, n := s.asked, min(windowSize, s.file.Size-s.asked)
		ch := make(chan window, 1)
		go func() {
			p := make([]byte, n)
			err := s.store.ReadAt(s.ctx, s.file.Ref(), p, off)
			ch <- window{p, err}
		}()
		s.queue = append(s.queue, ch)
		s.asked += n
	}
	if len(s.queue) == 0 {
		return errEnd
	}
	w := <-s.queue[0]
	s.queue = s.queue[1:]
	if w.err != nil {
		return w.err
	}
	s.cur = w.data
	s.read += int64(len(w.data))
	return nil
}

// close ends it. No request outlives the call.
func (s *stream) close() {
	s.cancel()
	for _, ch := range s.queue {
		<-ch
	}
	s.queue = nil
}
