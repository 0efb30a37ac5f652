package sim

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing/synctest"
	"time"

	"github.com/litefs-s3/litefs-s3/bulk"
	"github.com/litefs-s3/litefs-s3/compact"
	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/restore"
	"github.com/litefs-s3/litefs-s3/verify"
	"github.com/litefs-s3/litefs-s3/writer"
)

// settle returns when nobody does anything any more but wait for time to pass.
func (w *world) settle() { synctest.Wait() }

// heal turns all faults off: everybody must reach the same state, and nothing may be missing.
func (w *world) heal() {
	w.weather.Store(int64(calm))
	w.healing.Store(true)
	w.finish()
	w.stepNo.Add(1)
	time.Sleep(5 * time.Minute) // leases expire, whatever the clocks say
	ctx := context.Background()
	for _, stage := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"writers", w.healNodes}, {"readers", w.healReaders}, {"compaction", w.healCompaction}, {"readers after it", w.healReaders},
		{"moments", w.checkMoments}, {"restore", w.checkRestores}, {"verify", w.checkVerify},
	} {
		if err := stage.do(ctx); err != nil {
			w.wrong(fmt.Errorf("with all faults off, %s: %w", stage.name, err))
		}
		if w.failed() != nil {
			return
		}
	}
}

// finish waits for operations that somebody began while a request was about to be made, and who had no time left to wait for it.
func (w *world) finish() {
	for _, gate := range w.gates {
		gate <- struct{}{}
	}
	for _, gate := range w.gates {
		<-gate
	}
}

// healNodes lets each node bring to the bucket what it has, or find that it was fenced.
func (w *world) healNodes(ctx context.Context) error {
	// Who has the lease comes first, the others wait for it.
	slices.SortStableFunc(w.nodes, func(a, b *node) int { return int(b.generation() - a.generation()) })
	for _, n := range w.nodes {
		if err := n.heal(ctx); err != nil {
			return fmt.Errorf("%s: %w", n.name, err)
		}
	}
	for _, n := range w.nodes {
		if err := n.account(); err != nil {
			return fmt.Errorf("%s: %w", n.name, err)
		}
	}
	return nil
}

// generation is that of the node's lease, 0 when it has none.
func (n *node) generation() int64 {
	if n.proc == nil {
		return 0
	}
	return n.proc.Status().Generation
}

func (n *node) heal(ctx context.Context) error {
	n.skew.Store(0)
	for range 4 { // each fencing costs one try
		err := n.healOnce(ctx)
		if err == nil {
			return nil
		}
		if !errors.Is(err, writer.ErrConflict) {
			return err
		}
		n.w.note("%s: %v", n.name, err)
	}
	return errors.New("it is fenced again and again although nobody else writes")
}

func (n *node) healOnce(ctx context.Context) error {
	if n.proc == nil {
		if err := n.start(ctx); err != nil {
			return err
		}
	}
	if n.proc.tracker.Load() == nil {
		time.Sleep(n.w.late) // a replica that is not listed yet cannot be told from none
	}
	if err := n.poll(ctx); err != nil { // as the follower of a database does each second
		return err
	}
	if err := n.Acquire(ctx); err != nil {
		return err
	}
	if err := n.commitOne(ctx, n.w.rng); err != nil { // one who finds that others have written is fenced here
		return err
	}
	if err := n.Sync(ctx); err != nil {
		return err
	}
	if p := n.proc.Pending(); p.Commits > 0 {
		return wrongf("after a sync %d commits are pending", p.Commits)
	}
	if got := n.proc.DurableTXID(); got != n.w.model.head() {
		return wrongf("the writer is at %s, the bucket at %s", got, n.w.model.head())
	}
	if err := n.read(ctx); err != nil {
		return err
	}
	if err := n.account(); err != nil {
		return err
	}
	return n.stop(ctx)
}

func (w *world) healReaders(ctx context.Context) error {
	if w.model.head() == 0 {
		return nil // nobody has uploaded anything
	}
	time.Sleep(w.late)
	for _, r := range w.others {
		if r.opened == nil {
			if err := r.open(ctx); err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
		}
		for try := 1; r.tracker.Load().View().TXID != w.model.head() || r.tracker.Load().State().Err != nil; try++ {
			err := r.poll(ctx)
			if err != nil && try == 3 {
				return fmt.Errorf("%s at %s instead of %s: %w", r.name, r.tracker.Load().View().TXID, w.model.head(), err)
			}
			if try > 3 {
				return wrongf("%s stands at %s instead of %s", r.name, r.tracker.Load().View().TXID, w.model.head())
			}
			time.Sleep(20 * time.Second) // so that it lists
		}
		if err := r.check(ctx, r.tracker.Load().View()); err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		for i := len(r.pins) - 1; i >= 0; i-- {
			if i < len(r.pins) {
				if err := r.reread(ctx, i); err != nil {
					return fmt.Errorf("%s: %w", r.name, err)
				}
			}
		}
		if r.hydrates {
			if err := r.checkCopy(ctx); err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
		}
	}
	return nil
}

// mostFiles is what a replica of an hour at most may have once everything is compacted.
const mostFiles = 60

// healCompaction lets compactors come until nothing is due any more.
func (w *world) healCompaction(ctx context.Context) error {
	if w.model.head() == 0 {
		return nil
	}
	k := &keeper{w: w, actor: &actor{name: "healer"}}
	k.depth.Store(-1)
	for range 5 {
		time.Sleep(11 * time.Minute)
		if err := k.once(ctx); err != nil {
			return err
		}
	}
	c, err := compact.New(w.store, k.options())
	if err != nil {
		return err
	}
	p, err := c.Plan(ctx)
	if err != nil {
		return err
	}
	var text strings.Builder
	for _, f := range w.bucket.files() {
		fmt.Fprint(&text, " ", f.String())
	}
	switch {
	case p.Gap != nil:
		return wrongf("there is a gap: %+v", p.Gap)
	case p.Deferred != "":
		return wrongf("compaction is left to somebody else: %s", p.Deferred)
	case len(p.Steps) > 0:
		return wrongf("compaction is not done: %+v of%s", p.Steps, text.String())
	case p.Files > mostFiles:
		return wrongf("there are %d files, %d of them may go:%s", p.Files, len(p.Delete), text.String())
	}
	return nil
}

func (k *keeper) once(ctx context.Context) error {
	c, err := compact.New((&line{w: k.w, a: k.actor}).open(4), k.options())
	if err != nil {
		return err
	}
	_, err = c.Once(ctx)
	return err
}

// checkMoments opens every moment that can be opened.
func (w *world) checkMoments(ctx context.Context) error {
	if w.model.head() == 0 {
		return nil
	}
	r := w.others[0]
	tl, err := r.tracker.Load().Timeline(ctx)
	if err != nil {
		return err
	}
	for _, txid := range tl.TXIDs() {
		v, err := tl.At(ctx, txid)
		if err != nil {
			return err
		}
		if err := r.check(ctx, v); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) checkRestores(ctx context.Context) error {
	if w.model.head() == 0 {
		return nil
	}
	tr, err := index.Open(ctx, w.store, index.Options{PollInterval: -1})
	if err != nil {
		return err
	}
	path := filepath.Join(w.newDir(), "restored.db")
	report, err := restore.File(ctx, bulk.Source{Store: w.store, Mover: tr}, tr.View(), path, restore.Options{})
	if err != nil {
		return err
	}
	if report.TXID != w.model.head() {
		return wrongf("restored %s, want %s", report.TXID, w.model.head())
	}
	return w.checkFile(path, report.TXID)
}

func (w *world) checkVerify(ctx context.Context) error {
	if w.model.head() == 0 {
		return nil
	}
	if report := verify.Run(ctx, w.store, verify.Options{}); report.Outcome != verify.Good {
		return wrongf("verify: %s: %v", report.Outcome, report.Problems)
	}
	return nil
}

// end lets go of everything.
func (w *world) end() {
	for _, n := range w.nodes {
		if n.proc != nil {
			n.clear()
		}
	}
	for _, r := range w.others {
		if r.opened != nil {
			r.line.kill()
			r.close()
		}
	}
}
