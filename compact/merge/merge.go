package merge

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/superfly/ltx"
	"golang.org/x/sync/errgroup"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
)

// Target says what a new file is called and what it says of itself.
type Target struct {
	Level    int
	Min, Max index.TXID
	// Timestamp is that of the newest transaction in the file. Zero means that of the last input.
	Timestamp time.Time
	// Complete says that the file stands for a writer's own: a snapshot, or level 0. A Litestream that goes on from such a
	// file wants to see a WAL offset in it; in merged files there is none.
	Complete bool
	// Restated says that the state the inputs make up is published under later transaction numbers than their own. They
	// must begin with transaction 1.
	Restated bool
}

// File is the target's name.
func (t Target) File() index.File { return index.File{Level: t.Level, Min: t.Min, Max: t.Max} }

// Options of a merge. The zero value works.
type Options struct {
	// TempDir is where the new file grows before it is uploaded, and where inputs wait. Empty means the system's.
	TempDir string
	// Base is the size of the database in pages before the first input, when it is known: pages that the first
	// input grew it by must be in it. Zero means unknown.
	Base uint32
	// OnProgress, when not nil, is told now and then how far things are. It must return at once.
	OnProgress func(Progress)
}

// Progress is how far a new file has come.
type Progress struct {
	Phase Phase
	Pages int64 // done in this phase
	Total int64 // pages in all; 0 while that is not known
}

// Phase is what is being done with a new file.
type Phase string

// The phases, in this order.
const (
	Making   Phase = "making"   // into a temporary file
	Storing  Phase = "storing"  // in the bucket
	Checking Phase = "checking" // what is in the bucket
)

func (o Options) tell(phase Phase, pages, total int64) {
	if o.OnProgress != nil {
		o.OnProgress(Progress{phase, pages, total})
	}
}

// File is a new LTX file in a temporary file, not in the bucket yet.
type File struct {
	Target Target
	Facts  Facts
	Data   *os.File

	told Options // who is told of progress
}

// Close removes the temporary file.
func (f *File) Close() error { return removeTemp(f.Data) }

// indexBudget bounds the memory for pieces of the indexes of large inputs.
const (
	indexBudget = 32 << 20
	indexChunk  = 256 << 10
	localChunk  = 4 << 10
	minChunk    = 16 << 10
)

// Build merges inputs into one new file: of every page the newest version, without those above the last commit size. The
// inputs must follow each other without a gap; overlap is normal. Memory stays under 256 MiB, whatever their number and
// size.
//
// Inputs up to 8 MiB are fetched whole and checked whole, larger ones only as far as their pages are wanted: those are
// checked frame by frame. Inputs that cannot be right are index.ErrCorrupt, and the message names file and page.
func Build(ctx context.Context, store objstore.RangeReader, files []index.File, to Target, opts Options) (_ *File, err error) {
	inputs := order(files)
	if err := checkContiguous(inputs, to); err != nil {
		return nil, err
	}
	kept := &spool{dir: opts.TempDir}
	defer func() { err = errors.Join(err, kept.close()) }()
	opened, err := open(ctx, store, inputs, kept)
	if err != nil {
		return nil, err
	}
	if err := setGrowth(opened, opts.Base); err != nil {
		return nil, err
	}
	w, err := newWinners(ctx, opened)
	if err != nil {
		return nil, err
	}
	h := header(opened, to)
	g := &gatherer{winners: w, commit: h.Commit, pageSize: h.PageSize}
	return write(ctx, to, h, opts, g.next, func(ctx context.Context, b *batch) error {
		if err := b.load(ctx, h.PageSize); err != nil {
			return err
		}
		return b.modernise(h.PageSize)
	})
}

// open fetches the small inputs, and the ends of the large ones.
func open(ctx context.Context, store index.Bytes, files []index.File, kept *spool) ([]*input, error) {
	inputs := make([]*input, len(files))
	var large int64
	for i := range files {
		inputs[i] = &input{file: &files[i], source: store, readOver: skipGap}
		if files[i].Size > wholeSize {
			large++
		}
	}
	if err := kept.fetchWhole(ctx, inputs); err != nil {
		return nil, err
	}
	chunk := min(indexChunk, max(minChunk, indexBudget/max(1, large)))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(requestsAtOnce)
	for _, in := range inputs {
		g.Go(func() error {
			if in.file.Size <= wholeSize {
				return in.open(ctx, localChunk)
			}
			return in.open(ctx, chunk)
		})
	}
	return inputs, g.Wait()
}

func newInput(ctx context.Context, source index.Bytes, f *index.File, chunk int64) (*input, error) {
	in := &input{file: f, source: source}
	return in, in.open(ctx, chunk)
}

// open reads the ends of the file. What it grew by is not known yet, unless it begins with transaction 1.
func (in *input) open(ctx context.Context, chunk int64) (err error) {
	in.entries, err = index.ReadEntries(ctx, in.source, in.file, chunk)
	if err == nil && in.file.Min > 1 {
		in.grown = in.entries.Header.Commit
	}
	return err
}

// setGrowth tells each input how large the database was before it.
func setGrowth(inputs []*input, base uint32) error {
	first := inputs[0].entries.Header
	before := inputs[0].file.Min - 1 // the transaction that base is the size after
	for _, in := range inputs {
		h := in.entries.Header
		if h.PageSize != first.PageSize {
			return fmt.Errorf("%s has pages of %d bytes, %s of %d; a replica has one page size: %w",
				inputs[0].file, first.PageSize, in.file, h.PageSize, index.ErrCorrupt)
		}
		// Whatever lies between the beginning of a file and the end of the one before is in both.
		if in.file.Min > 1 && base > 0 && before+1 >= in.file.Min {
			in.grown = base
		}
		base, before = h.Commit, in.file.Max
	}
	return nil
}

// header is what Litestream writes: merged files say when their last input was written, and nothing of a WAL.
func header(inputs []*input, to Target) ltx.Header {
	last := inputs[len(inputs)-1].entries.Header
	h := ltx.Header{
		Version: ltx.Version, Flags: ltx.HeaderFlagNoChecksum, PageSize: last.PageSize, Commit: last.Commit,
		MinTXID: to.Min, MaxTXID: to.Max, Timestamp: last.Timestamp,
	}
	return to.finish(h)
}

const walHeaderSize = 32 // bytes; where the first frame of a WAL lies

func (t Target) finish(h ltx.Header) ltx.Header {
	if !t.Timestamp.IsZero() {
		h.Timestamp = t.Timestamp.UnixMilli()
	}
	if t.Complete {
		h.WALOffset = walHeaderSize
	}
	return h
}

// write makes a temporary file of the batches that next yields.
func write(
	ctx context.Context, to Target, h ltx.Header, opts Options, next func(context.Context) (*batch, error),
	prepare func(context.Context, *batch) error,
) (_ *File, err error) {
	f := &File{Target: to}
	if f.Data, err = newTemp(opts.TempDir, "output"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	w, err := newWriter(f.Data, h, opts.TempDir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	total := int64(0)
	if h.MinTXID == 1 {
		total = int64(h.Commit)
	}
	opts.tell(Making, 0, total)
	err = inOrder(ctx, batchesAhead, next, prepare, func(b *batch) error {
		if err := b.pour(h.PageSize, w); err != nil {
			return err
		}
		opts.tell(Making, w.pages, total)
		return nil
	})
	if err != nil {
		return nil, err
	}
	sum, err := w.end()
	if err != nil {
		return nil, err
	}
	f.Facts = Facts{Header: h, Size: w.off, Pages: w.pages, Checksum: sum}
	return f, nil
}
