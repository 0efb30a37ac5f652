package hydrate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
)

const (
	// fetchTimeout is how long one request may take. A shorter one follows.
	fetchTimeout = time.Minute
	// chunkSize is how much is decoded and written at once, in bytes.
	chunkSize = 512 << 10
	// breath is how many bytes are decoded before other goroutines get a turn: those of queries are among them.
	breath = 64 << 10
)

// chunksAhead is how many chunks may be decoded and not written.
const chunksAhead = 8

// walker fetches what is absent. It is used by the goroutine of Copy.walk and by its workers.
type walker struct {
	c       *Copy
	life    <-chan struct{} // closed when the owner may be gone
	pace    pacer
	window  *window
	raw     rawBuffers
	chunks  chan []byte // buffers for decoded pages
	streams int64       // long requests that run at once

	history uint32 // whose b-trees were walked: one more than the View's; 0 is none

	mu     sync.Mutex
	warned time.Time // of the last failure in the log; zero when all was well since; guarded by mu
}

func newWalker(c *Copy, life <-chan struct{}) *walker {
	n := int64(min(streams, c.opts.Concurrency))
	most := min(maxRange, inFlight/n)
	if rate := c.opts.Bandwidth; rate > 0 {
		most = min(most, max(minRange, rate/4)) // a quarter of a second's worth: what is spread is not to come in gushes
	}
	w := &walker{
		c: c, life: life, pace: pacer{rate: c.opts.Bandwidth}, window: newWindow(most), streams: n,
		raw: rawBuffers{room: semaphore.NewWeighted(inFlight)}, chunks: make(chan []byte, chunksAhead),
	}
	w.rest()
	return w
}

// rest gives the memory of the buffers back. No worker runs.
func (w *walker) rest() {
	for len(w.chunks) > 0 {
		<-w.chunks
	}
	for range cap(w.chunks) {
		w.chunks <- nil
	}
	w.raw.drop()
}

// walk fetches what is absent, whenever there is something, until ctx ends.
func (c *Copy) walk(ctx context.Context) {
	w := newWalker(c, ctx.Done())
	failed := 0 // passes in a row that brought nothing but an error
	for ctx.Err() == nil {
		news := c.changes.wait()
		if !c.full.Load() || c.stopped.Load() || c.absent() == 0 || c.heads.busy.Load() {
			w.rest()
			select {
			case <-news:
			case <-ctx.Done():
			}
			continue
		}
		before := c.absent()
		err := w.pass(ctx)
		if ctx.Err() != nil || c.stopped.Load() {
			continue
		}
		w.report(err)
		if err == nil || c.absent() < before {
			failed = 0
		}
		if err != nil || c.absent() >= before { // the latter when the View has moved under the pass
			_ = sleep(ctx, pause(failed))
			failed++
		}
	}
}

// absent is the number of pages to be fetched.
func (c *Copy) absent() int64 { return int64(c.picture.Load().total()) - c.present.Load() }

// warnEvery is the time between two lines in the log about requests that fail.
const warnEvery = 30 * time.Second

// report keeps what requests fail with for Progress, and now and then logs it.
func (w *walker) report(err error) {
	c := w.c
	c.mu.Lock()
	c.status.remote = err
	if err != nil {
		c.status.failed++
	}
	c.mu.Unlock()
	if err == nil {
		return
	}
	w.mu.Lock()
	quiet := !w.warned.IsZero() && time.Since(w.warned) < warnEvery
	if !quiet {
		w.warned = time.Now()
	}
	w.mu.Unlock()
	if !quiet {
		c.log.Warn("hydration is held up; it will be tried again", slog.Any("err", err), slog.Int64("absent", c.absent()))
	}
}

// pass goes once through all that is absent of the newest View.
func (w *walker) pass(ctx context.Context) error {
	c := w.c
	v := c.picture.Load().view
	if err := c.room(); err != nil {
		return w.halt(ctx, err)
	}
	s := look(v, c.lacking(v, c.picture.Load().present.missing(v.Commit)))
	upper := w.history != v.History+1 && s.wanted > worthOrder
	if tables := c.wantedTables(); upper || len(tables) > 0 {
		if w.trees(ctx, v, tables, upper) == nil { // else what could not be fetched is met again below
			w.history = v.History + 1
			c.haveTables(tables)
		}
	}
	return w.fetch(ctx, v, c.picture.Load().present.missing(v.Commit), s.hole())
}

// halt lets the owner stop all writing.
func (w *walker) halt(ctx context.Context, err error) error {
	w.c.stopped.Store(true)
	select {
	case w.c.troubles <- err:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// lacks reports whether a page of a View that the walk has begun with is still worth to be fetched.
func (c *Copy) lacks(v *index.View, pgno uint32) bool {
	p := c.picture.Load()
	if pgno == 0 || pgno > v.Commit || pgno == v.LockPgno() || p.present.has(pgno) {
		return false
	}
	if p.view == v {
		return true
	}
	version, ok := v.Version(pgno)
	return !ok || p.knows(v, pgno, version) // else it has changed since, and is fetched in the next pass
}

// lacking yields those of the pages that lacks.
func (c *Copy) lacking(v *index.View, pgnos iter.Seq[uint32]) iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for pgno := range pgnos {
			if c.lacks(v, pgno) && !yield(pgno) {
				return
			}
		}
	}
}

// goneError says that a file of the View is not in the bucket any more.
type goneError struct {
	file *index.File
	err  error
}

func (e *goneError) Error() string { return e.err.Error() }
func (e *goneError) Unwrap() error { return e.err }

// fetch fetches those of the pages, which come in ascending order, that are absent. When it returns without an error those that
// could be are in the file. After an error it has gone on with the others, unless a file was gone: then v reads from other
// files now. hole is for plan; absent pages in holes are kept.
func (w *walker) fetch(ctx context.Context, v *index.View, pgnos iter.Seq[uint32], hole int64) error {
	var first firstError
	lost := func(pgno uint32) {
		first.set(fmt.Errorf("page %d of %d has no frame at txid %s: %w", pgno, v.Commit, v.TXID, index.ErrCorrupt))
	}
	err := w.run(ctx, v, plan(v, w.c.lacking(v, pgnos), hole, w.share(v), lost), &first)
	var gone *goneError
	if errors.As(err, &gone) {
		return w.c.history.Rehome(ctx, v, gone.file)
	}
	return err
}

// share returns how long ranges may be: so that all workers have something to do, but not shorter than what is worth a request.
func (w *walker) share(v *index.View) func() int64 {
	var encoded int64
	for _, f := range v.Files() {
		encoded += f.Size
	}
	absent := float64(w.c.absent()) / float64(max(1, w.c.picture.Load().total()))
	fair := max(w.c.opts.goodRange, int64(float64(encoded)*absent)/(2*w.streams))
	return func() int64 { return min(fair, w.window.limit()) }
}

// run hands jobs to the workers, and returns the first error after the last of them has ended.
func (w *walker) run(ctx context.Context, v *index.View, jobs iter.Seq[job], first *firstError) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	queue := make(chan job)
	var workers sync.WaitGroup
	for range w.c.opts.Concurrency {
		workers.Go(func() {
			for j := range queue {
				if err := w.do(ctx, v, j); err != nil && ctx.Err() == nil {
					first.set(err)
					if errors.As(err, new(*goneError)) {
						cancel() // the whole plan is out of date
					}
				}
			}
		})
	}
	for j := range jobs {
		select {
		case queue <- j:
		case <-ctx.Done():
		}
		if ctx.Err() != nil || w.c.stopped.Load() {
			break
		}
	}
	close(queue)
	workers.Wait()
	return first.get()
}

// do fetches one range and hands its pages to the owner. After a failure it waits before it returns.
func (w *walker) do(ctx context.Context, v *index.View, j job) error {
	if err := w.pace.wait(ctx, j.size); err != nil {
		return err
	}
	raw, err := w.raw.get(ctx, j.size)
	if err != nil {
		return err
	}
	defer w.raw.put(raw)
	if err := w.read(ctx, j, raw); err != nil {
		err = fmt.Errorf("%s at byte %d, %d bytes: %w", j.file(), j.off(), j.size, err)
		if errors.Is(err, objstore.ErrNotFound) || errors.Is(err, objstore.ErrChanged) {
			return &goneError{j.file(), err}
		}
		pause := w.window.fail(j.size)
		if ctx.Err() == nil {
			w.report(err)
			_ = sleep(ctx, pause)
		}
		return err
	}
	w.window.succeed()
	w.report(nil)
	w.c.fetched.Add(j.size)
	return w.hand(ctx, v, j, raw)
}

func (w *walker) read(ctx context.Context, j job, raw []byte) error {
	ctx, cancel := context.WithTimeoutCause(ctx, fetchTimeout, fmt.Errorf("no answer within %s", fetchTimeout))
	defer cancel()
	err := w.c.store.ReadAt(ctx, j.file().Ref(), raw, j.off())
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// hand decodes the absent pages of a job and writes them, chunk by chunk. A frame that cannot be decoded spoils no other.
func (w *walker) hand(ctx context.Context, v *index.View, j job, raw []byte) error {
	var bad error
	size, decoded := int(v.PageSize), 0
	data, err := w.chunk(ctx, size)
	if err != nil {
		return err
	}
	defer func() { w.chunks <- data }()
	b := newBatch(v, data)
	for p := range j.pages() {
		if !w.c.lacks(v, p.Pgno) {
			continue
		}
		at, n := p.Frame.Off-j.off(), len(b.pages)*size
		if err := index.DecodeFrame(raw[at:at+p.Frame.Size], p.Pgno, data[n:n+size]); err != nil {
			bad = cmp.Or(bad, fmt.Errorf("page %d of %s at byte %d: %w", p.Pgno, j.file(), p.Frame.Off, err))
			continue
		}
		b.pages = append(b.pages, pageVersion{p.Pgno, p.Version})
		if decoded++; decoded%max(1, breath/size) == 0 {
			runtime.Gosched()
		}
		if n+2*size > len(data) {
			if err := w.write(ctx, b); err != nil {
				return err
			}
			b = newBatch(v, data)
		}
	}
	return cmp.Or(w.write(ctx, b), bad)
}

// chunk returns room for decoded pages, to be given back to w.chunks.
func (w *walker) chunk(ctx context.Context, pageSize int) ([]byte, error) {
	select {
	case data := <-w.chunks:
		if n := max(1, chunkSize/pageSize) * pageSize; len(data) != n {
			data = make([]byte, n)
		}
		return data, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func newBatch(v *index.View, data []byte) *batch {
	return &batch{
		view: v, data: data, pages: make([]pageVersion, 0, len(data)/int(v.PageSize)),
		granted: make(chan struct{}), settled: make(chan struct{}),
	}
}

// write writes those pages of a batch that the owner grants. When it returns they are in the picture.
func (w *walker) write(ctx context.Context, b *batch) error {
	if len(b.pages) == 0 {
		return nil
	}
	select {
	case w.c.claims <- b:
		<-b.granted
	case <-ctx.Done():
		return ctx.Err()
	}
	size := int(b.view.PageSize)
	for _, r := range b.runs {
		if b.err == nil {
			b.err = w.c.writeAt(b.data[r.from*size:r.to*size], pageOffset(b.pages[r.from].pgno, b.view.PageSize))
		}
	}
	if len(b.runs) == 0 {
		return nil
	}
	select { // whatever becomes of ctx: until it is settled nobody else may write these pages
	case w.c.written <- b:
		<-b.settled
		return nil
	case <-w.life:
		return context.Canceled
	}
}

// firstError keeps the first of many errors. A file that is gone outranks the others.
type firstError struct {
	mu  sync.Mutex
	err error // guarded by mu
}

func (f *firstError) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil || errors.As(err, new(*goneError)) {
		f.err = err
	}
}

func (f *firstError) get() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}
