package sim

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/litefs-s3/litefs-s3/bulk"
	"github.com/litefs-s3/litefs-s3/compact"
	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/pitr"
	"github.com/litefs-s3/litefs-s3/restore"
	"github.com/litefs-s3/litefs-s3/verify"
	"github.com/litefs-s3/litefs-s3/writer"
)

// operation is something that somebody does with a replica. prepare makes everything ready without a fault, and returns what is tried.
type operation struct {
	name    string
	empty   bool // there is no replica yet
	hears   bool // it tells of what passes, and is to be called again
	least   int  // requests that it makes, at least
	prepare func(s *site) func(context.Context) error
}

var operations = []operation{
	{"open", false, false, 3, func(s *site) func(context.Context) error {
		return func(ctx context.Context) error { return s.reader(false).open(ctx) }
	}},
	{"read", false, false, 1, func(s *site) func(context.Context) error {
		tr, err := index.Open(s.t.Context(), s.requests(), index.Options{PollInterval: -1})
		s.must(err)
		return func(ctx context.Context) error { return s.readAll(ctx, tr, tr.View()) }
	}},
	{"read what was merged away", false, false, 4, func(s *site) func(context.Context) error {
		tr, err := index.Open(s.t.Context(), s.requests(), index.Options{PollInterval: -1})
		s.must(err)
		time.Sleep(time.Minute)
		s.write(1) // the newest file of each level stays
		s.expire()
		return func(ctx context.Context) error { return s.readAll(ctx, tr, tr.View()) }
	}},
	{"follow by name", false, false, 3, func(s *site) func(context.Context) error {
		tr := s.behind(0)
		return func(ctx context.Context) error { return s.catchUp(ctx, tr, tr.Poll) }
	}},
	{"follow by listing", false, false, 3, func(s *site) func(context.Context) error {
		tr := s.behind(10 * time.Minute)
		return func(ctx context.Context) error { return s.catchUp(ctx, tr, tr.Refresh) }
	}},
	{"travel in time", false, false, 3, func(s *site) func(context.Context) error {
		tr, err := index.Open(s.t.Context(), s.requests(), index.Options{PollInterval: -1})
		s.must(err)
		return func(ctx context.Context) error { return s.travel(ctx, tr) }
	}},
	{"hydrate", false, false, 3, func(s *site) func(context.Context) error {
		return func(ctx context.Context) error {
			r := s.reader(true)
			if err := r.open(ctx); err != nil {
				return err
			}
			return r.checkCopy(ctx)
		}
	}},
	{"acquire and release", false, true, 8, func(s *site) func(context.Context) error {
		s.must(s.node.stop(s.t.Context()))
		s.must(s.node.start(s.t.Context()))
		return func(ctx context.Context) error {
			if err := s.node.Acquire(ctx); err != nil {
				return err
			}
			return s.node.Release(ctx)
		}
	}},
	{"sync", false, true, 2, func(s *site) func(context.Context) error {
		return func(ctx context.Context) error {
			s.commit(3)
			return s.node.Sync(ctx)
		}
	}},
	{"sync after a long time", false, true, 4, func(s *site) func(context.Context) error {
		return func(ctx context.Context) error {
			s.commit(1)
			time.Sleep(10 * time.Minute)
			return s.node.Sync(ctx)
		}
	}},
	{"commit that waits for the bucket", false, true, 2, func(s *site) func(context.Context) error {
		s.must(s.node.stop(s.t.Context()))
		s.node.durability = writer.Remote
		s.must(s.node.start(s.t.Context()))
		s.must(s.node.Acquire(s.t.Context()))
		return func(ctx context.Context) error { return s.node.commitOne(ctx, s.rng) }
	}},
	{"first upload", true, true, 8, func(s *site) func(context.Context) error {
		return func(ctx context.Context) error {
			if s.node.proc == nil {
				if err := s.node.start(ctx); err != nil {
					return err
				}
			}
			if err := s.node.Acquire(ctx); err != nil {
				return err
			}
			s.commit(2)
			return s.node.Sync(ctx)
		}
	}},
	{"open after a crash", false, true, 10, func(s *site) func(context.Context) error {
		s.commit(3)
		s.node.kill(s.t.Context(), s.rng)
		return func(ctx context.Context) error {
			if s.node.proc == nil {
				if err := s.node.start(ctx); err != nil {
					return err
				}
			}
			if err := s.node.Acquire(ctx); err != nil {
				return err
			}
			return s.node.Sync(ctx)
		}
	}},
	{"close", false, true, 3, func(s *site) func(context.Context) error {
		s.commit(2)
		return func(ctx context.Context) error {
			if s.node.proc == nil {
				if err := s.node.start(ctx); err != nil {
					return err
				}
				if err := s.node.Acquire(ctx); err != nil {
					return err
				}
			}
			return s.node.stop(ctx)
		}
	}},
	{"compact", false, false, 20, func(s *site) func(context.Context) error {
		time.Sleep(time.Minute)
		return s.keeper().once
	}},
	{"remove what is old", false, false, 8, func(s *site) func(context.Context) error {
		time.Sleep(time.Minute)
		s.compact()
		time.Sleep(20 * time.Minute)
		return s.keeper().once
	}},
	{"snapshot", false, false, 8, func(s *site) func(context.Context) error {
		return func(ctx context.Context) error { return s.snapshot(ctx) }
	}},
	{"restore", false, false, 3, func(s *site) func(context.Context) error {
		return func(ctx context.Context) error {
			r := &restorer{w: s.world}
			tr, err := index.Open(ctx, s.requests(), index.Options{PollInterval: -1})
			if err != nil {
				return err
			}
			return r.restore(ctx, bulk.Source{Store: s.requests(), Mover: tr}, tr)
		}
	}},
	{"keep a file up to date", false, false, 3, func(s *site) func(context.Context) error {
		path := filepath.Join(s.newDir(), "followed.db")
		s.must(s.followTo(s.t.Context(), path))
		s.write(2)
		return func(ctx context.Context) error { return s.followTo(ctx, path) }
	}},
	{"verify", false, false, 5, func(s *site) func(context.Context) error {
		return func(ctx context.Context) error {
			report := verify.Run(ctx, s.requests(), verify.Options{})
			if report.Outcome == verify.Good {
				return nil
			}
			var errs []error
			for _, p := range report.Problems {
				errs = append(errs, p)
			}
			return errors.Join(errs...)
		}
	}},
}

func (s *site) reader(hydrates bool) *reader {
	r := &reader{w: s.world, hydrates: hydrates, path: filepath.Join(s.newDir(), "copy.db")}
	r.actor = &actor{name: "reader"}
	r.actor.depth.Store(-1)
	s.others = append(s.others, r)
	return r
}

// expire lets compactors come until files that a View of now uses are gone.
func (s *site) expire() {
	for range 2 {
		time.Sleep(11 * time.Minute)
		s.compact()
	}
}

// behind follows the replica, which goes on meanwhile.
func (s *site) behind(pause time.Duration) *index.Tracker {
	tr, err := index.Open(s.t.Context(), s.requests(), index.Options{PollInterval: -1})
	s.must(err)
	for range 3 {
		s.write(1)
	}
	time.Sleep(pause)
	return tr
}

// catchUp polls until the head is reached.
func (s *site) catchUp(ctx context.Context, tr *index.Tracker, poll func(context.Context) error) error {
	if err := poll(ctx); err != nil {
		return err
	}
	if tr.View().TXID != s.model.head() {
		time.Sleep(20 * time.Second) // so that the next poll lists
		if err := poll(ctx); err != nil {
			return err
		}
	}
	if got, want := tr.View().TXID, s.model.head(); got != want {
		return wrongf("a poll ended well at %s; the head is %s", got, want)
	}
	return s.readAll(ctx, tr, tr.View())
}

// readAll reads every page of a View through a cache of its own.
func (s *site) readAll(ctx context.Context, tr *index.Tracker, v *index.View) error {
	r := &reader{w: s.world, opened: newOpened(s.requests())}
	r.tracker.Store(tr)
	defer r.source.Close()
	return r.check(ctx, v)
}

// travel opens the middle of the past by its time.
func (s *site) travel(ctx context.Context, tr *index.Tracker) error {
	tl, err := tr.Timeline(ctx)
	if err != nil {
		return err
	}
	txids := tl.TXIDs()
	want := txids[len(txids)/2]
	m, _ := s.model.at(want)
	got, err := pitr.Locate(ctx, tl, m.time)
	if err != nil {
		return err
	}
	if got != want {
		return wrongf("at %s was %s, and it says %s", m.time, want, got)
	}
	v, err := tl.At(ctx, got)
	if err != nil {
		return err
	}
	return s.readAll(ctx, tr, v)
}

func (s *site) snapshot(ctx context.Context) error {
	c, err := compact.New(s.requests(), s.keeper().options())
	if err != nil {
		return err
	}
	p, err := c.PlanSnapshot(ctx)
	if err != nil {
		return err
	}
	_, err = c.Run(ctx, p)
	return err
}

// followTo keeps a file up to date until it is at the head.
func (s *site) followTo(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	tr, err := index.Open(ctx, s.requests(), index.Options{PollInterval: -1})
	if err != nil {
		return err
	}
	at := index.TXID(0)
	opts := restore.FollowOptions{OnUpdate: func(u restore.Update) {
		if at = u.TXID; at == s.model.head() {
			cancel()
		}
	}}
	time.AfterFunc(2*time.Minute, cancel) // it may have been there already
	if err := restore.Follow(ctx, bulk.Source{Store: s.requests(), Mover: tr}, tr, path, opts); err != nil {
		return err
	}
	return s.checkFile(path, s.model.head())
}
