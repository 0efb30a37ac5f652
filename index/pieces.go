package index

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/litefs-s3/litefs-s3/objstore"
)

// pieces are the parts of one large file that are under way, so that its index is decoded from the front while the rest of it arrives.
//
// How long the index is stands at the end of the file. What is guessed to be index is asked for beside it, in several requests: one wave, and not one for each
// thing that is learned. When the guess was too long, what nobody needs is cancelled as soon as the end is here, and the end is small; when
// it was too short, the rest is asked for at that moment.
type pieces struct {
	store objstore.RangeReader
	file  *File
	wg    sync.WaitGroup
	tail  []*piece // what was asked for of the end, in the order of the file
	guess int64    // bytes of it; counted in tails
	free  [][]byte // of pieces that were decoded
}

// piece is one request.
type piece struct {
	off    int64
	data   []byte
	err    error
	done   chan struct{} // closed when the two above are what they will be
	cancel context.CancelFunc
}

// close waits for what is still under way, after its context has ended: no request outlives a call.
func (p *pieces) close() {
	p.wg.Wait()
	tails.Add(-p.guess)
}

// tails are the bytes of all guesses under way.
var tails atomic.Int64

// guessIndex returns how many bytes at the end of the file are probably its index.
func (p *pieces) guessIndex() int64 {
	size := p.file.Size
	p.guess = min(size, max(minTail, min(maxTail, size/tailShare)))
	if tails.Add(p.guess) > maxTails && p.guess > chunkSize {
		tails.Add(chunkSize - p.guess)
		p.guess = chunkSize
	}
	return p.guess
}

// fetch asks for size bytes at off.
func (p *pieces) fetch(ctx context.Context, off, size int64) *piece {
	ctx, cancel := context.WithCancel(ctx)
	k := &piece{off: off, data: p.buffer(size), done: make(chan struct{}), cancel: cancel}
	p.wg.Go(func() {
		defer cancel()
		if err := p.store.ReadAt(ctx, p.file.Ref(), k.data, off); err != nil {
			k.err = fmt.Errorf("%s: %w", p.file, err)
		}
		close(k.done)
	})
	return k
}

// buffer returns size bytes with any content.
func (p *pieces) buffer(size int64) []byte {
	if n := len(p.free); n > 0 && int64(cap(p.free[n-1])) >= size {
		b := p.free[n-1]
		p.free = p.free[:n-1]
		return b[:size]
	}
	return make([]byte, size)
}

// wait returns the bytes of a piece.
func (k *piece) wait() ([]byte, error) {
	<-k.done
	return k.data, k.err
}

func (k *piece) end() int64 { return k.off + int64(len(k.data)) }

// fetchEnd asks for what the index is guessed to be, and returns the end of it. A guess of more than one request has a short one for the
// end, which then is here first.
func (p *pieces) fetchEnd(ctx context.Context) *piece {
	size, guess := p.file.Size, p.guessIndex()
	last := guess
	if guess > chunkSize {
		last = minTail
	}
	p.tail = append(p.tail, p.fetch(ctx, size-last, last))
	for off := size - last; off > size-guess; {
		n := min(chunkSize, off-(size-guess))
		off -= n
		p.tail = append([]*piece{p.fetch(ctx, off, n)}, p.tail...)
	}
	return p.tail[len(p.tail)-1]
}

// dropBefore ends the requests for what lies before start, where the index begins.
func (p *pieces) dropBefore(start int64) {
	for len(p.tail) > 1 && p.tail[0].end() <= start {
		p.tail[0].cancel()
		p.tail = p.tail[1:]
	}
}

// feed decodes the records in [start, end) of the file, of which those that come first are needed first.
func (p *pieces) feed(ctx context.Context, d *indexDecoder, start, end int64) error {
	if from := p.tail[0].off; start < from {
		if err := p.stream(ctx, d, start, min(end, from)); err != nil {
			return err
		}
		start = min(end, from)
	}
	for _, k := range p.tail {
		data, err := k.wait()
		if err != nil {
			return err
		}
		from, to := start-k.off, min(end, k.end())-k.off
		if err := d.feed(data[from:to], to+k.off == end); err != nil {
			return err
		}
		if start = to + k.off; start == end {
			return nil
		}
	}
	return nil
}

// stream decodes the records in [start, end), which were not asked for yet, with a few requests at once, so that an index of any length
// takes little memory.
func (p *pieces) stream(ctx context.Context, d *indexDecoder, start, end int64) error {
	var queue []*piece // oldest first
	for start < end || len(queue) > 0 {
		for start < end && len(queue) < chunksAhead {
			n := min(chunkSize, end-start)
			queue = append(queue, p.fetch(ctx, start, n))
			start += n
		}
		data, err := queue[0].wait()
		if err == nil {
			err = d.feed(data, false)
		}
		if err != nil {
			return err
		}
		queue = queue[1:]
		p.free = append(p.free, data[:cap(data)])
	}
	return nil
}
