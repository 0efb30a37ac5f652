package merge

import (
	"context"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/litefs-s3/litefs-s3/index"
)

const (
	// maxRaw and maxPlain bound a batch in bytes, encoded and decoded.
	maxRaw   = 3 << 20
	maxPlain = 6 << 20
	// batchesAhead is how many batches are under way at once.
	batchesAhead = 4
	// skipGap is the stretch of unwanted frames from which on a second request is cheaper than reading over it.
	skipGap = 128 << 10
)

// batch is a run of pages on its way into a file. Its buffers are used again when it is over.
type batch struct {
	pages []page
	spans []span
	raw   []byte // frames, span by span
	plain []byte // decoded pages, one after another

	done chan struct{}
	err  error
}

var batches = sync.Pool{New: func() any { return new(batch) }}

func newBatch() *batch {
	b := batches.Get().(*batch)
	b.pages, b.spans, b.raw, b.plain = b.pages[:0], b.spans[:0], b.raw[:0], b.plain[:0]
	b.done, b.err = make(chan struct{}), nil
	return b
}

// sized returns a slice of n bytes, in the place of buf when it is large enough. What it holds is undefined.
func sized(buf []byte, n int) []byte {
	if cap(buf) < n {
		return make([]byte, n, n+n/8)
	}
	return buf[:n]
}

// page is one page of a batch. Its frame is where source says, until it is fetched.
type page struct {
	pgno   uint32
	frame  []byte
	span   int   // in the batch
	off    int64 // of the frame in the file
	size   int64
	source *input
}

// span is a range of one input that is fetched with one request.
type span struct {
	source *input
	off    int64 // bytes from the start of the file
	size   int64
	at     int64 // where in raw it comes to lie
}

// inOrder prepares batches side by side, so many ahead, and hands them on in the order in which next made them. A nil
// batch from next is the end. When it returns nothing of it runs any more.
func inOrder(
	ctx context.Context, ahead int, next func(context.Context) (*batch, error), prepare func(context.Context, *batch) error,
	use func(*batch) error,
) error {
	ctx, cancel := context.WithCancel(ctx)
	var queue []*batch
	defer func() {
		cancel()
		for _, b := range queue {
			<-b.done
		}
	}()
	ended := false
	for {
		for !ended && len(queue) < ahead {
			b, err := next(ctx)
			if err != nil {
				return err
			}
			if b == nil {
				ended = true
				break
			}
			queue = append(queue, b)
			go func() {
				defer close(b.done)
				b.err = prepare(ctx, b)
			}()
		}
		if len(queue) == 0 {
			return ctx.Err()
		}
		b := queue[0]
		<-b.done
		queue = queue[1:]
		if b.err != nil {
			return b.err
		}
		if err := use(b); err != nil {
			return err
		}
		batches.Put(b)
	}
}

// fetch reads the spans of a batch and finds the frames in them.
func (b *batch) fetch(ctx context.Context) error {
	var size int64
	for i := range b.spans {
		b.spans[i].at = size
		size += b.spans[i].size
	}
	b.raw = sized(b.raw, int(size))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(requestsAtOnce)
	for _, s := range b.spans {
		g.Go(func() error {
			return s.source.source.ReadAt(ctx, s.source.file.Ref(), b.raw[s.at:s.at+s.size], s.off)
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i := range b.pages {
		p := &b.pages[i]
		s := &b.spans[p.span]
		at := s.at + p.off - s.off
		p.frame = b.raw[at : at+p.size : at+p.size]
	}
	return nil
}

// decode decodes the frames of a batch, and checks that each is the page its index says.
func (b *batch) decode(pageSize uint32) error {
	n := int(pageSize)
	b.plain = sized(b.plain, n*len(b.pages))
	for i := range b.pages {
		p := &b.pages[i]
		if err := index.DecodeFrame(p.frame, p.pgno, b.plain[i*n:(i+1)*n]); err != nil {
			return frameError(p, err)
		}
	}
	return nil
}

// modernise encodes frames of the older encoding anew.
func (b *batch) modernise(pageSize uint32) (err error) {
	n := int(pageSize)
	for i := range b.pages {
		p := &b.pages[i]
		if index.IsBlockFrame(p.frame) {
			continue
		}
		if p.frame, err = index.AppendFrame(nil, p.pgno, b.plain[i*n:(i+1)*n]); err != nil {
			return frameError(p, err)
		}
	}
	return nil
}
