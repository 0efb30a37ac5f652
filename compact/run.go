package compact

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/litefs-s3/litefs-s3/compact/merge"
	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
)

// Report is what became of a plan.
type Report struct {
	Made     []Made     `json:"made"`
	Skipped  []string   `json:"skipped,omitempty"` // steps that waited for one that failed
	Deleted  []Deletion `json:"deleted,omitempty"`
	Freed    int64      `json:"freed"` // bytes
	Gap      *Gap       `json:"gap,omitempty"`
	Deferred string     `json:"deferred,omitempty"`
	Cost     Cost       `json:"cost"`
	Took     Seconds    `json:"took"`
}

// Highest is the highest level that a file was made on, 0 when none was.
func (r *Report) Highest() int {
	highest := 0
	for _, m := range r.Made {
		highest = max(highest, m.Level)
	}
	return highest
}

// Made is a file that is in the bucket, read back and found sound.
type Made struct {
	Level   int        `json:"level"`
	Min     index.TXID `json:"min_txid"`
	Max     index.TXID `json:"max_txid"`
	Inputs  int        `json:"inputs"`
	Pages   int64      `json:"pages"`
	Bytes   int64      `json:"bytes"`
	Existed bool       `json:"existed,omitempty"` // another compactor was faster
	Took    Seconds    `json:"took"`
}

// Seconds is a duration that is a number of seconds in JSON.
type Seconds time.Duration

// MarshalJSON writes seconds with milliseconds.
func (s Seconds) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, "%.3f", time.Duration(s).Seconds()), nil
}

func (s Seconds) String() string { return time.Duration(s).Round(time.Millisecond).String() }

// Run carries a plan out: first what is to be made, then what is to be removed. A step that fails takes those with it that
// need it, no others; nothing is removed that is not replaced by files that were read back whole. Ending at any
// point, or running twice, or beside another one, does no harm: the next run goes on.
func (c *Compactor) Run(ctx context.Context, p *Plan) (*Report, error) {
	start, before := c.opts.Now(), c.store.Stats()
	r := &Report{Gap: p.Gap, Deferred: p.Deferred}
	err := errors.Join(p.err, c.runSteps(ctx, p, r))
	if len(p.Delete) > 0 && ctx.Err() == nil {
		err = errors.Join(err, c.delete(ctx, p.Delete, r))
	}
	r.Cost = counted(c.store.Stats().Sub(before))
	r.Took = Seconds(c.opts.Now().Sub(start))
	return r, err
}

func counted(s objstore.Stats) Cost {
	return Cost{
		Gets: s.Gets, Puts: s.Puts, Lists: s.Lists, Deletes: s.Deletes, BytesRead: s.BytesIn, BytesWritten: s.BytesOut,
	}.priced()
}

func (c *Compactor) runSteps(ctx context.Context, p *Plan, r *Report) error {
	if len(p.Steps) == 0 {
		return nil
	}
	c.record(ctx, func(l *ledger) { // before the first file: one that is cut off must not be taken for another program's
		for i := range p.Steps {
			l.wrote(p.Steps[i].Level, p.Steps[i].Max)
		}
	})
	var all error
	made := make([]*index.File, len(p.Steps))
	for i := range p.Steps {
		s := &p.Steps[i]
		f := s.file()
		if !ready(s, made) {
			r.Skipped = append(r.Skipped, f.String())
			continue
		}
		published, m, err := c.runStep(ctx, p, i, made)
		if err != nil {
			all = errors.Join(all, fmt.Errorf("make %s: %w", &f, err))
			if ctx.Err() != nil {
				break
			}
			continue
		}
		made[i] = &published.File
		r.Made = append(r.Made, m)
		c.opts.Log.LogAttrs(ctx, slog.LevelInfo, "compacted", slog.Int("level", s.Level), slog.String("min_txid", s.Min.String()),
			slog.String("txid", s.Max.String()), slog.Int("inputs", len(s.Inputs)), slog.Int64("bytes", m.Bytes),
			slog.Bool("existed", m.Existed), slog.Duration("took", time.Duration(m.Took)))
	}
	c.recordChecked(ctx, made)
	return all
}

func ready(s *Step, made []*index.File) bool {
	for _, i := range s.needs {
		if made[i] == nil {
			return false
		}
	}
	return true
}

// recordChecked notes how far the levels were read back.
func (c *Compactor) recordChecked(ctx context.Context, made []*index.File) {
	any := false
	for _, f := range made {
		any = any || f != nil
	}
	if !any || ctx.Err() != nil {
		return
	}
	c.record(ctx, func(l *ledger) {
		for _, f := range made {
			if f != nil {
				l.addChecked(f)
			}
		}
	})
}

// explain adds to an error that an input has gone what that means.
func explain(err error) error {
	if errors.Is(err, objstore.ErrNotFound) || errors.Is(err, objstore.ErrChanged) {
		return fmt.Errorf("%w: %w", ErrMoved, err)
	}
	return err
}

// runStep makes one file.
func (c *Compactor) runStep(ctx context.Context, p *Plan, i int, made []*index.File) (_ merge.Published, m Made, err error) {
	start := c.opts.Now()
	s := &p.Steps[i]
	inputs := s.resolve(made)
	f := s.file()
	opts := c.mergeOptions(Progress{Step: i + 1, Steps: len(p.Steps), What: f.String()})
	if opts.Base, err = c.sizeAfter(ctx, s.base); err != nil {
		return merge.Published{}, m, err
	}
	to := merge.Target{Level: s.Level, Min: s.Min, Max: s.Max, Complete: s.Level == index.SnapshotLevel}
	file, err := merge.Build(ctx, c.store, inputs, to, opts)
	if err != nil {
		return merge.Published{}, m, explain(err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	published, err := merge.Publish(ctx, c.store, file, opts)
	if err != nil {
		return merge.Published{}, m, err
	}
	m = Made{
		Level: s.Level, Min: s.Min, Max: s.Max, Inputs: len(inputs), Pages: published.Facts.Pages,
		Bytes: published.Facts.Size, Existed: published.Existed, Took: Seconds(c.opts.Now().Sub(start)),
	}
	return published, m, nil
}

// mergeOptions are those of one step, whose progress is told as part of p.
func (c *Compactor) mergeOptions(p Progress) merge.Options {
	return merge.Options{TempDir: c.opts.TempDir, OnProgress: func(m merge.Progress) {
		p.Phase, p.Done, p.Total = string(m.Phase), m.Pages, m.Total
		c.opts.OnProgress(p)
	}}
}

// resolve returns the inputs as they are in the bucket.
func (s *Step) resolve(made []*index.File) []index.File {
	inputs := make([]index.File, len(s.Inputs))
	for i := range s.Inputs {
		inputs[i] = s.Inputs[i].file
		for _, need := range s.needs {
			if f := made[need]; nameOf(f) == nameOf(&inputs[i]) {
				inputs[i] = *f
			}
		}
	}
	return inputs
}

// sizeAfter returns how large the database was after the last transaction of f, in pages; 0 when that is not known.
func (c *Compactor) sizeAfter(ctx context.Context, f *index.File) (uint32, error) {
	if f == nil {
		return 0, nil
	}
	e, err := index.ReadEntries(ctx, c.store, f, 1)
	if errors.Is(err, objstore.ErrNotFound) || errors.Is(err, objstore.ErrChanged) {
		return 0, nil // it went; the check it was wanted for is one more, not the only one
	}
	if err != nil {
		return 0, err
	}
	return e.Header.Commit, nil
}
