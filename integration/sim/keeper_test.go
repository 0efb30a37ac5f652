package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/litefs-s3/litefs-s3/bulk"
	"github.com/litefs-s3/litefs-s3/compact"
	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/restore"
	"github.com/litefs-s3/litefs-s3/verify"
)

// keeper compacts, and removes what is no longer needed.
type keeper struct {
	*actor
	w    *world
	skew time.Duration
}

func (w *world) addKeeper(i int) {
	k := &keeper{w: w}
	if w.rng.IntN(4) == 0 {
		k.skew = time.Duration(w.rng.IntN(121)-60) * time.Second
	}
	k.actor = w.add(fmt.Sprintf("keeper%d", i), k.step)
}

func (k *keeper) options() compact.Options {
	return compact.Options{
		Levels:           []time.Duration{10 * time.Second, time.Minute, 5 * time.Minute},
		SnapshotInterval: 10 * time.Minute, Retention: 30 * time.Minute,
		L0Retention: 5 * time.Minute, Grace: time.Minute, Settle: time.Second,
		TempDir: k.w.dir, Owner: k.name, Now: func() time.Time { return time.Now().Add(k.skew) },
	}
}

// step is a run of a program of its own, which may die in the middle of it.
func (k *keeper) step(ctx context.Context, r *rand.Rand) error {
	l := &line{w: k.w, a: k.actor}
	if r.IntN(4) == 0 {
		l.until, l.die = 1+r.IntN(40), func() { k.w.counts.kills.Add(1) }
	}
	c, err := compact.New(l.open(4), k.options())
	if err != nil {
		return wrongf("%v", err)
	}
	report, err := c.Once(ctx)
	if report != nil {
		k.w.counts.compactions.Add(int64(len(report.Made)))
		k.w.counts.deleted.Add(int64(len(report.Deleted)))
	}
	if errors.Is(err, index.ErrNoReplica) {
		return nil
	}
	return err
}

// restorer makes database files of moments, and keeps one up to date.
type restorer struct {
	*actor
	w        *world
	followed string
}

func (w *world) addRestorer() {
	r := &restorer{w: w, followed: filepath.Join(w.newDir(), "followed.db")}
	r.actor = w.add("restorer", r.step)
}

func (r *restorer) step(ctx context.Context, rng *rand.Rand) error {
	l := &line{w: r.w, a: r.actor}
	store := l.open(4)
	tr, err := index.Open(ctx, store, index.Options{PollInterval: -1})
	if errors.Is(err, index.ErrNoReplica) {
		return nil
	}
	if err != nil {
		return err
	}
	src := bulk.Source{Store: store, Mover: tr}
	switch rng.IntN(4) {
	case 0:
		return r.follow(ctx, src, tr, time.Duration(500+rng.IntN(20_000))*time.Millisecond+time.Microsecond)
	case 1:
		return r.verify(ctx, l)
	}
	return r.restore(ctx, src, tr)
}

// restore makes the newest state a file.
func (r *restorer) restore(ctx context.Context, src bulk.Source, tr *index.Tracker) error {
	path := filepath.Join(r.w.newDir(), "restored.db")
	defer os.RemoveAll(filepath.Dir(path))
	newer := func(ctx context.Context) (*index.View, error) {
		err := tr.Refresh(ctx)
		return tr.View(), err
	}
	report, err := restore.File(ctx, src, tr.View(), path, restore.Options{Newer: newer})
	if err != nil {
		if _, serr := os.Stat(path); serr == nil {
			return wrongf("a restore failed and left a file: %v", err)
		}
		return err
	}
	r.w.counts.restores.Add(1)
	return r.w.checkFile(path, report.TXID)
}

// follow keeps a file up to date for a while. What an earlier one has made is gone on with.
func (r *restorer) follow(ctx context.Context, src bulk.Source, tr *index.Tracker, d time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	var at index.TXID
	err := restore.Follow(ctx, src, tr, r.followed, restore.FollowOptions{OnUpdate: func(u restore.Update) { at = u.TXID }})
	if err != nil {
		return err
	}
	r.w.counts.follows.Add(1)
	if at == 0 {
		return nil // it has not moved, or was not begun
	}
	if tr.View().TXID < at {
		return wrongf("the followed file is at %s, and the head at %s", at, tr.View().TXID)
	}
	return r.w.checkFile(r.followed, at)
}

func (r *restorer) verify(ctx context.Context, l *line) error {
	report := verify.Run(ctx, l.open(4), verify.Options{})
	for _, p := range report.Problems {
		if p.Outcome == verify.Bad {
			r.w.note("verify: %v; late %s", p, r.w.late)
			if r.w.late == 0 && errors.Is(p, index.ErrCorrupt) {
				return wrongf("verify: %v", p)
			}
		}
	}
	return nil
}
