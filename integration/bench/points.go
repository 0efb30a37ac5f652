package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	litefss3 "github.com/litefs-s3/litefs-s3"
)

const (
	postByID = "SELECT title FROM posts WHERE id = ?"
	// latestPosts is the page of a user: as many reads of posts as the user has, in no order that the file knows.
	latestPosts = `SELECT count(*) || max(title) FROM
		(SELECT title FROM posts WHERE user_id = ? ORDER BY created_at DESC LIMIT 10)`
)

// measurePoints looks up 200 random rows by rowid, one after another, from an open replica of which nothing but the schema
// was read.
func measurePoints(ctx context.Context, b *bench) error {
	return b.many(ctx, postByID, 200, b.Data.Posts)
}

// measureJoin reads the ten latest posts of 200 random users, as measurePoints reads rows.
func measureJoin(ctx context.Context, b *bench) error {
	return b.many(ctx, latestPosts, 200, b.Data.users())
}

// many runs a statement n times with random arguments from 1 to most.
func (b *bench) many(ctx context.Context, query string, n, most int) (err error) {
	d, err := b.ready(ctx, b.config())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	l, err := d.lookup(ctx, query)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	times := make([]time.Duration, b.times(n))
	t := startTimer()
	for i := range times {
		start := time.Now()
		if err := l.row(ctx, 1+b.rng.IntN(most)); err != nil {
			return err
		}
		times[i] = time.Since(start)
	}
	_, cpu := t.stop()
	seen, err := b.proxy.read(ctx)
	if err != nil {
		return err
	}
	status, err := d.status(ctx)
	if err != nil {
		return err
	}
	done := float64(len(times))
	figures := []figure{
		{"GETs", count, float64(seen.gets())}, {"GETs each", each, float64(seen.gets()) / done},
		{"waves", count, float64(seen.Stats.Waves)}, {"depth each", each, float64(seen.Stats.Depth) / done},
		{"bytes", byteSize, float64(seen.Stats.BytesOut)}, {"bytes each", byteSize, float64(seen.Stats.BytesOut) / done},
	}
	figures = append(figures, between(litefss3.Status{}, status).figures()...)
	figures = append(figures, timed(times)...)
	b.add(fmt.Sprintf("n=%d", len(times)), append(figures, figure{"CPU each", millis, ms(cpu) / done})...)
	return nil
}
