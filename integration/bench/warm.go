package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	litefss3 "github.com/litefs-s3/litefs-s3"
)

// workingSets are how many rows are looked up over and over: what fits the 2 MiB that each connection of SQLite caches
// for itself, and what does not but fits the cache of the process, spread over the whole table.
var workingSets = []struct {
	name string
	rows int
}{{"sqlite", 100}, {"process", 2000}}

// rounds is how often replica and local file take turns.
const rounds = 5

// measureWarm looks up rows that need no request, beside the same lookups in the local file.
func measureWarm(ctx context.Context, b *bench) error {
	for _, set := range workingSets {
		ids := make([]int, b.times(set.rows))
		for i := range ids {
			ids[i] = 1 + b.rng.IntN(b.Data.Posts)
		}
		for _, conns := range []int{1, 4} {
			if err := b.warm(ctx, fmt.Sprintf("cache=%s/conns=%d", set.name, conns), b.config(), ids, conns); err != nil {
				return err
			}
		}
	}
	return nil
}

// warm looks rows up in the replica as c opens it, and in the local file.
func (b *bench) warm(ctx context.Context, name string, c litefss3.Config, ids []int, conns int) (err error) {
	remote, err := litefss3.OpenDB(c)
	if err != nil {
		return err
	}
	replica, err := openReaders(ctx, remote, conns)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, replica.close()) }()
	plain, err := openLocal(ctx, b.Local, "ro")
	if err != nil {
		return err
	}
	local, err := openReaders(ctx, plain.db, conns)
	if err != nil {
		return errors.Join(err, plain.close())
	}
	defer func() { err = errors.Join(err, local.close(), plain.close()) }()
	passes, err := b.heat(ctx, replica, ids)
	if err != nil {
		return err
	}
	if err := b.proxy.reset(ctx); err != nil {
		return err
	}
	var ours, theirs, ratios []float64
	for range rounds {
		for _, turn := range []struct {
			r    *readers
			into *[]float64
		}{{replica, &ours}, {local, &theirs}} {
			rate, err := turn.r.rate(ctx, ids, b.lasting(400*time.Millisecond))
			if err != nil {
				return err
			}
			*turn.into = append(*turn.into, rate)
		}
		ratios = append(ratios, ours[len(ours)-1]/theirs[len(theirs)-1])
	}
	seen, err := b.proxy.read(ctx)
	if err != nil {
		return err
	}
	b.add(name, figure{"replica", perSec, median(ours)}, figure{"local", perSec, median(theirs)},
		figure{"of local", share, median(ratios)}, figure{"GETs", count, float64(seen.gets())},
		figure{"passes to warm", count, float64(passes)})
	return nil
}

// heat looks rows up at random, on a connection that stands for all, until as many lookups as there are rows take no
// request any more. It returns how often it did so many.
func (b *bench) heat(ctx context.Context, r *readers, ids []int) (passes int, err error) {
	const most = 40
	for passes < most {
		passes++
		if err := b.proxy.reset(ctx); err != nil {
			return 0, err
		}
		for range ids {
			if err := r.stmts[0].row(ctx, ids[b.rng.IntN(len(ids))]); err != nil {
				return 0, err
			}
		}
		seen, err := b.proxy.read(ctx)
		if err != nil {
			return 0, err
		}
		if seen.gets() == 0 {
			break
		}
	}
	return passes, nil // if not even the last one did, the row shows that requests go on
}

// readers are connections that look rows up side by side.
type readers struct {
	db    *sql.DB
	conns []*sql.Conn
	stmts []lookup
}

func openReaders(ctx context.Context, db *sql.DB, n int) (*readers, error) {
	r := &readers{db: db}
	for range n {
		conn, err := db.Conn(ctx)
		if err != nil {
			return nil, errors.Join(err, r.close())
		}
		r.conns = append(r.conns, conn)
		l, err := (&database{conn: conn}).lookup(ctx, postByID)
		if err != nil {
			return nil, errors.Join(err, r.close())
		}
		r.stmts = append(r.stmts, l)
	}
	return r, nil
}

func (r *readers) close() error {
	var errs []error
	for _, l := range r.stmts {
		errs = append(errs, l.close())
	}
	for _, c := range r.conns {
		errs = append(errs, c.Close())
	}
	return errors.Join(append(errs, r.db.Close())...)
}

// rate looks random ones of the rows up for about d, and returns how many a second, all connections together.
func (r *readers) rate(ctx context.Context, ids []int, d time.Duration) (float64, error) {
	const batch = 32 // lookups between two looks at the clock
	var done atomic.Int64
	start := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	for n, l := range r.stmts {
		rng := rand.New(rand.NewPCG(1, uint64(n)))
		g.Go(func() error {
			for time.Since(start) < d {
				for range batch {
					if err := l.row(ctx, ids[rng.IntN(len(ids))]); err != nil {
						return err
					}
				}
				done.Add(batch)
			}
			return nil
		})
	}
	err := g.Wait()
	return float64(done.Load()) / time.Since(start).Seconds(), err
}
