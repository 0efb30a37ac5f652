package merge

import (
	"context"
	"fmt"
	"io"

	"github.com/superfly/ltx"

	"github.com/litefs-s3/litefs-s3/index"
)

// input is one file on its way through a merge: its entries are read from the first to the last, once.
type input struct {
	file    *index.File
	source  index.Bytes // the store, or the local copy
	entries *index.Entries

	// Pages above grown and up to the file's commit size did not exist before the file: it must hold every one of
	// them, or nobody does.
	grown uint32

	readOver int64 // stretch of unwanted bytes that is cheaper to read than to ask around

	entry index.Entry // the one in hand
	done  bool
}

// advance takes the next entry in hand.
func (in *input) advance(ctx context.Context) error {
	last := in.entry.Pgno
	entry, err := in.entries.Next(ctx)
	if err == io.EOF {
		in.done = true
		return in.checkGrowth(last, in.entries.Header.Commit+1)
	}
	if err != nil {
		return err
	}
	in.entry = entry
	return in.checkGrowth(last, entry.Pgno)
}

// checkGrowth refuses the file when one of the pages between two neighbouring entries had to be in it.
func (in *input) checkGrowth(last, next uint32) error {
	first := max(last, in.grown) + 1
	if first == ltx.LockPgno(in.entries.Header.PageSize) {
		first++
	}
	if first >= next {
		return nil
	}
	why := fmt.Sprintf("the database grew from %d to %d pages", in.grown, in.entries.Header.Commit)
	if in.file.Min == 1 {
		why = fmt.Sprintf("a file that begins with transaction 1 holds all %d pages", in.entries.Header.Commit)
	}
	return fmt.Errorf("%s: page %d is missing, and %s: %w", in.file, first, why, index.ErrCorrupt)
}

// winners yields for every page the newest of the inputs that has it: a heap of the inputs by the page in hand, and
// the newer one first.
type winners struct {
	inputs []*input // oldest first
	heap   []int    // numbers of inputs
}

func newWinners(ctx context.Context, inputs []*input) (*winners, error) {
	w := &winners{inputs: inputs}
	for i, in := range inputs {
		if err := in.advance(ctx); err != nil {
			return nil, err
		}
		if !in.done {
			w.heap = append(w.heap, i)
		}
	}
	for i := len(w.heap)/2 - 1; i >= 0; i-- {
		w.sink(i)
	}
	return w, nil
}

// next returns the input that has the newest version of the next page, and where in it. ok is false at the end.
func (w *winners) next(ctx context.Context) (i int, entry index.Entry, ok bool, err error) {
	if len(w.heap) == 0 {
		return 0, index.Entry{}, false, nil
	}
	i = w.heap[0]
	entry = w.inputs[i].entry
	for len(w.heap) > 0 && w.inputs[w.heap[0]].entry.Pgno == entry.Pgno {
		top := w.inputs[w.heap[0]]
		if err := top.advance(ctx); err != nil {
			return 0, index.Entry{}, false, err
		}
		if top.done {
			w.heap[0] = w.heap[len(w.heap)-1]
			w.heap = w.heap[:len(w.heap)-1]
		}
		w.sink(0)
	}
	return i, entry, true, nil
}

// sink moves the input at place i of the heap down to where it belongs.
func (w *winners) sink(i int) {
	for {
		least := i
		for _, child := range [2]int{2*i + 1, 2*i + 2} {
			if child < len(w.heap) && w.before(child, least) {
				least = child
			}
		}
		if least == i {
			return
		}
		w.heap[i], w.heap[least] = w.heap[least], w.heap[i]
		i = least
	}
}

func (w *winners) before(a, b int) bool {
	a, b = w.heap[a], w.heap[b]
	if p, q := w.inputs[a].entry.Pgno, w.inputs[b].entry.Pgno; p != q {
		return p < q
	}
	return a > b
}
