package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/index"
)

const (
	scanPosts = "SELECT count(*) || '/' || sum(length(body)) FROM posts"
	walkPosts = "SELECT count(*) FROM posts NOT INDEXED"
	scanIndex = "SELECT count(*) FROM posts INDEXED BY posts_user"
)

// measureScan reads a whole table twice, and the same bytes in other ways in between.
func measureScan(ctx context.Context, b *bench) error { return b.scans(ctx, scanPosts, 2) }

// measureWalk reads the same pages and leaves them unparsed: what a scan costs when SQL costs next to nothing.
func measureWalk(ctx context.Context, b *bench) error { return b.scans(ctx, walkPosts, 1) }

// measureIndex reads a whole index, which lies in the file behind all tables.
func measureIndex(ctx context.Context, b *bench) error { return b.scans(ctx, scanIndex, 1) }

// rawWays are the plain ways to fetch bytes that a scan is held against.
var rawWays = []struct {
	part     int64
	parallel int
}{{2 << 20, 8}, {2 << 20, 16}, {8 << 20, 8}, {8 << 20, 16}}

// pass is one way through the bytes of a scan.
type pass struct {
	took, cpu time.Duration
	seen      *traffic
	guesses   guesses
}

// scanning measures one statement in several ways.
type scanning struct {
	*bench
	query  string
	answer string // of the first pass; the others must say the same
}

func (b *bench) scans(ctx context.Context, query string, times int) error {
	s := &scanning{bench: b, query: query}
	local, err := s.local(ctx)
	if err != nil {
		return err
	}
	replica, err := s.replica(ctx, times)
	if err != nil {
		return err
	}
	needed, err := extentsOf(replica[0].seen.Transcript)
	if err != nil {
		return err
	}
	raw, err := s.raw(ctx, needed)
	if err != nil {
		return err
	}
	decoded, err := s.decoded(ctx, needed)
	if err != nil {
		return err
	}
	again, err := s.local(ctx) // the better of one before and one after
	if err != nil {
		return err
	}
	if again.took < local.took {
		local = again
	}
	size := totalSize(needed)
	for i, p := range replica {
		b.add([]string{"how=cold", "how=second"}[i], s.figures(p, size, raw.took, local.took)...)
	}
	b.add("how=raw", plain(*raw, size)...)
	b.add("how=raw+decode", plain(*decoded, size)...)
	b.add("how=local", plain(*local, size)...)
	return nil
}

// figures of a pass over the replica: size is what it needed, raw and local the time of the others.
func (s *scanning) figures(p pass, size int64, raw, local time.Duration) []figure {
	gets := float64(p.seen.gets())
	return append(append(plain(p, size), p.guesses.figures()...),
		figure{"of raw", share, raw.Seconds() / p.took.Seconds()},
		figure{"of max(raw, local)", share, max(raw, local).Seconds() / p.took.Seconds()},
		figure{"GETs", count, gets},
		figure{"GETs/512 KiB", each, gets / (float64(size) / (512 << 10))},
		figure{"fetched", byteSize, float64(p.seen.Stats.BytesOut)},
		figure{"fetched/needed", each, float64(p.seen.Stats.BytesOut) / float64(size)},
		figure{"waves", count, float64(p.seen.Stats.Waves)},
		figure{"in flight", count, float64(p.seen.Stats.InFlightMax)},
	)
}

func plain(p pass, size int64) []figure {
	return []figure{
		{"needed", byteSize, float64(size)}, {"time", millis, ms(p.took)}, {"rate", rate, mbps(size, p.took)}, {"CPU", millis, ms(p.cpu)},
	}
}

// run times the statement and checks what it says.
func (s *scanning) run(ctx context.Context, d *database) (pass, error) {
	var answer string
	t := startTimer()
	err := d.conn.QueryRowContext(ctx, s.query).Scan(&answer)
	took, cpu := t.stop()
	if err != nil {
		return pass{}, err
	}
	if s.answer == "" {
		s.answer = answer
	}
	if answer != s.answer {
		return pass{}, fmt.Errorf("replica and local file differ: %q says %s here and %s there", s.query, answer, s.answer)
	}
	return pass{took: took, cpu: cpu}, nil
}

// local scans the plain file.
func (s *scanning) local(ctx context.Context) (_ *pass, err error) {
	d, err := openLocal(ctx, s.Local, "ro")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	p, err := s.run(ctx, d)
	return &p, err
}

// replica scans the replica so many times in a row; before the first nothing but the schema was read.
func (s *scanning) replica(ctx context.Context, times int) (_ []pass, err error) {
	d, err := s.ready(ctx, s.config())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	passes := make([]pass, times)
	var before litefss3.Status
	for i := range passes {
		if err := s.proxy.reset(ctx); err != nil {
			return nil, err
		}
		if passes[i], err = s.run(ctx, d); err != nil {
			return nil, err
		}
		if passes[i].seen, err = s.proxy.read(ctx); err != nil {
			return nil, err
		}
		after, err := d.status(ctx)
		if err != nil {
			return nil, err
		}
		passes[i].guesses = between(before, after)
		before = after
	}
	return passes, nil
}

// guesses are pages fetched ahead because of what indexes and upper b-tree pages say, and how many of them were read.
type guesses struct{ made, right int64 }

func between(before, after litefss3.Status) guesses {
	return guesses{after.ReadAhead.Guessed - before.ReadAhead.Guessed, after.ReadAhead.Right - before.ReadAhead.Right}
}

func (g guesses) figures() []figure {
	return []figure{
		{"guessed", count, float64(g.made)}, {"right", share, float64(g.right) / float64(max(g.made, 1))},
	}
}

// raw fetches the extents in all plain ways and returns the fastest.
func (s *scanning) raw(ctx context.Context, needed []extent) (*pass, error) {
	store, err := s.store(ctx)
	if err != nil {
		return nil, err
	}
	var best *pass
	for _, way := range rawWays {
		pieces := parts(needed, way.part)
		t := startTimer()
		if err := fetch(ctx, store, pieces, way.parallel); err != nil {
			return nil, err
		}
		took, cpu := t.stop()
		if best == nil || took < best.took {
			best = &pass{took: took, cpu: cpu}
		}
	}
	return best, nil
}

// decoded fetches and decodes the extents.
func (s *scanning) decoded(ctx context.Context, needed []extent) (*pass, error) {
	store, err := s.store(ctx)
	if err != nil {
		return nil, err
	}
	tracker, err := index.Open(ctx, store, index.Options{PollInterval: -1})
	if err != nil {
		return nil, err
	}
	t := startTimer()
	err = decode(ctx, store, tracker.View(), needed)
	took, cpu := t.stop()
	return &pass{took: took, cpu: cpu}, err
}
