package bulk

import (
	"context"
	"fmt"

	"github.com/litefs-s3/litefs-s3/index"
)

// runSize is how much is written at once, in bytes: what is decoded is still in the processor's cache when the system copies it.
// Longer runs were no faster anywhere, and several times slower on virtual machines that have to get large pieces of memory from the host.
const runSize = 64 << 10

// run collects decoded pages that follow each other, and writes them in one piece. It is used by one goroutine.
type run struct {
	c      *copier
	buffer []byte // of at least one page
	first  uint32 // the page at the beginning of the buffer
	n      int    // bytes that are collected
}

// withRun lends a run to do, and writes what is left in it.
func (c *copier) withRun(ctx context.Context, do func(*run) error) error {
	buffer, err := take(ctx, c.runs)
	if err != nil {
		return err
	}
	if buffer == nil {
		size := int(c.v.PageSize)
		buffer = make([]byte, max(1, runSize/size)*size)
	}
	defer func() { c.runs <- buffer }()
	r := &run{c: c, buffer: buffer}
	if err := do(r); err != nil {
		return err
	}
	return r.flush(ctx)
}

// add decodes a page into the run, and writes what was there when the page does not follow it or there is no more room.
func (r *run) add(ctx context.Context, p index.Page, frame []byte) error {
	size := int(r.c.v.PageSize)
	if r.n > 0 && (p.Pgno != r.first+uint32(r.n/size) || r.n+size > len(r.buffer)) {
		if err := r.flush(ctx); err != nil {
			return err
		}
	}
	if r.n == 0 {
		r.first = p.Pgno
	}
	if err := index.DecodeFrame(frame, p.Pgno, r.buffer[r.n:r.n+size]); err != nil {
		return fmt.Errorf("page %d of %s at byte %d: %w", p.Pgno, p.Frame.File, p.Frame.Off, err)
	}
	r.n += size
	return nil
}

// flush writes what is collected. After cancellation nothing more is written.
func (r *run) flush(ctx context.Context) error {
	if r.n == 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	end := r.first + uint32(r.n)/r.c.v.PageSize
	if _, err := r.c.w.WriteAt(r.buffer[:r.n], Offset(r.first, r.c.v.PageSize)); err != nil {
		return fmt.Errorf("write pages %d to %d: %w", r.first, end-1, err)
	}
	for pgno := r.first; pgno < end; pgno++ {
		r.c.left.remove(pgno)
	}
	r.n = 0
	return nil
}
