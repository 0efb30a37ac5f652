package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/internal/ticker"
	"github.com/litefs-s3/litefs-s3/objstore"
)

const (
	// passes is how often the replica is listed again because files were merged away while they were looked at.
	passes = 4
	// tellEvery is the time between two calls of OnProgress.
	tellEvery = 200 * time.Millisecond
)

// Run checks the replica in store, whose keys are those below the replica's prefix. It always returns a report: what went wrong is in
// it, and what could not be told as well.
func Run(ctx context.Context, store Store, opts Options) *Report {
	r := &run{store: store, opts: opts.withDefaults(), seen: map[string]bool{}, begin: time.Now()}
	r.report = Report{Problems: []Problem{}, Notes: []string{}, Sample: opts.Budget > 0}
	stop := r.tell()
	c := r.passes(ctx)
	stop()
	if c != nil {
		r.compare(c)
	}
	r.report.Took = time.Since(r.begin)
	r.report.judge()
	return &r.report
}

// run is one Run under way.
type run struct {
	store Store
	opts  Options
	begin time.Time
	seen  map[string]bool // files looked at, by key, ETag and size

	mu     sync.Mutex
	report Report  // guarded by mu while files are checked
	facts  []facts // of files that are right; guarded by mu
	gone   int     // files of this pass that were not there any more; guarded by mu
	total  int     // files of this pass and of those before; guarded by mu
	todo   int64   // their bytes; guarded by mu
}

// passes checks all files, and those that took the place of others meanwhile. It returns the last listing, nil when that is of no use.
func (r *run) passes(ctx context.Context) (c *index.Catalog) {
	for pass := 0; pass < passes && (pass == 0 || r.gone > 0); pass++ {
		var err error
		if c, err = index.ListAll(ctx, r.store); err != nil {
			r.problem("", err)
			return nil
		}
		if err = c.Check(); err != nil {
			r.problem("", err)
			return nil
		}
		r.gone = 0
		r.pass(ctx, r.unseen(c))
	}
	if err := ctx.Err(); err != nil {
		r.problem("", err)
		return nil
	}
	if r.gone > 0 {
		r.problem("", fmt.Errorf("%d files are listed and cannot be read, or were merged faster than they could be looked at: %w", r.gone, objstore.ErrNotFound))
	}
	return c
}

// compare looks at the files together. No worker runs any more.
func (r *run) compare(c *index.Catalog) {
	r.report.Files, r.report.Bytes = len(c.Files), 0
	for i := range c.Files {
		r.report.Bytes += c.Files[i].Size
	}
	r.report.Problems = append(r.report.Problems, compareAll(r.facts)...)
	chainProblems(c, &r.report)
}

// unseen returns the files that were not looked at, in the order in which they shall be.
func (r *run) unseen(c *index.Catalog) (files []*index.File) {
	for i := range c.Files {
		f := &c.Files[i]
		if id := fmt.Sprint(f.Key(), f.ETag, f.Size); !r.seen[id] {
			r.seen[id] = true
			files = append(files, f)
		}
	}
	if r.opts.Budget > 0 {
		r.opts.Rand.Shuffle(len(files), func(i, j int) { files[i], files[j] = files[j], files[i] })
		return files
	}
	slices.SortStableFunc(files, func(a, b *index.File) int { return int(min(1, max(-1, b.Size-a.Size))) }) // large ones first: they end last
	return files
}

// pass checks files, several at once.
func (r *run) pass(ctx context.Context, files []*index.File) {
	r.mu.Lock()
	r.total += len(files)
	for _, f := range files {
		r.todo += f.Size
	}
	r.mu.Unlock()
	queue := make(chan *index.File)
	var workers sync.WaitGroup
	for range r.opts.Concurrency {
		workers.Go(func() {
			for f := range queue {
				r.file(ctx, f)
			}
		})
	}
	for _, f := range files {
		if ctx.Err() != nil || r.late() {
			break
		}
		queue <- f
	}
	close(queue)
	workers.Wait()
}

// late reports whether the budget is used up.
func (r *run) late() bool { return r.opts.Budget > 0 && time.Since(r.begin) >= r.opts.Budget }

// file checks one file and keeps what came out.
func (r *run) file(ctx context.Context, f *index.File) {
	c := &checker{store: r.store, file: f}
	if r.opts.Budget > 0 {
		c.deadline = r.begin.Add(r.opts.Budget)
	}
	err := c.check(ctx)
	var known facts
	if err == nil {
		known = factsOf(c.layout)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Read += c.read
	r.report.Pages += c.pages
	switch {
	case err == nil:
		r.report.Checked++
		r.facts = append(r.facts, known)
	case errors.Is(err, errBudget):
		r.report.Partly++
	case errors.Is(err, objstore.ErrNotFound), errors.Is(err, objstore.ErrChanged):
		r.gone++
		delete(r.seen, fmt.Sprint(f.Key(), f.ETag, f.Size)) // if it is listed again, it is looked at again
	default:
		r.problemLocked(f.Key(), err)
	}
}

// problem keeps an error: what cannot be right is bad, everything else could not be told.
func (r *run) problem(key string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.problemLocked(key, err)
}

func (r *run) problemLocked(key string, err error) {
	outcome := Unknown
	if errors.Is(err, index.ErrCorrupt) || errors.Is(err, index.ErrNoReplica) || errors.Is(err, objstore.ErrShortObject) {
		outcome = Bad
	}
	r.report.Problems = append(r.report.Problems, Problem{Outcome: outcome, Key: key, Text: err.Error(), Err: err})
}

// tell calls OnProgress now and then, until the returned function is called, and then once more.
func (r *run) tell() (stop func()) {
	if r.opts.OnProgress == nil {
		return func() {}
	}
	return ticker.Every(tellEvery, func() { r.opts.OnProgress(r.progress()) })
}

func (r *run) progress() Progress {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Progress{
		Files: r.report.Checked + r.report.Partly, TotalFiles: r.total, Bytes: r.report.Read, TotalBytes: r.todo,
		Problems: len(r.report.Problems),
	}
}
