package main

import (
	"context"
	"errors"
	"time"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/objstore"
)

// restamped is a store whose listings show other modification times.
type restamped struct {
	objstore.Store
	modified func(key string) time.Time
}

func (s *restamped) List(ctx context.Context, prefix, startAfter string) (objstore.Page, error) {
	page, err := s.Store.List(ctx, prefix, startAfter)
	for i := range page.Objects {
		page.Objects[i].Modified = s.modified(page.Objects[i].Key)
	}
	return page, err
}

// uploadTime is about how long after a transaction its file is in the bucket.
const uploadTime = 700 * time.Millisecond

// measurePast sets 20 random times, each on a replica opened anew, whose files are dated as a writer leaves them, and as
// a copied bucket does.
func measurePast(ctx context.Context, b *bench) error {
	store, err := b.store(ctx)
	if err != nil {
		return err
	}
	for _, how := range []struct {
		name     string
		modified func(key string) time.Time
	}{
		{"modified=written", func(key string) time.Time { return b.Data.Times[key].Add(uploadTime) }},
		{"modified=equal", func(string) time.Time { return b.Data.Last.Add(time.Hour) }},
	} {
		if err := b.past(ctx, how.name, &restamped{store, how.modified}); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) past(ctx context.Context, name string, store objstore.Store) error {
	var requests, waves []int
	var times, queries []time.Duration
	for range b.times(20) {
		at := b.Data.First.Add(time.Duration(b.rng.Int64N(int64(b.Data.Last.Sub(b.Data.First)))))
		m, err := b.setTime(ctx, store, at)
		if err != nil {
			return err
		}
		requests, waves = append(requests, m.requests), append(waves, m.waves)
		times, queries = append(times, m.set), append(queries, m.query)
	}
	b.add(name,
		figure{"requests p50", count, float64(median(requests))}, figure{"requests max", count, float64(quantile(requests, 1))},
		figure{"waves p50", count, float64(median(waves))}, figure{"waves max", count, float64(quantile(waves, 1))},
		figure{"p50", millis, ms(median(times))}, figure{"max", millis, ms(quantile(times, 1))},
		figure{"first row p50", millis, ms(median(queries))})
	return nil
}

// moment is what setting one time took.
type moment struct {
	requests, waves int
	set, query      time.Duration
}

func (b *bench) setTime(ctx context.Context, store objstore.Store, at time.Time) (m moment, err error) {
	d, err := b.ready(ctx, litefss3.Config{ReplicaURL: "bench", Store: store, PollInterval: -1})
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	start := time.Now()
	if _, err := d.conn.ExecContext(ctx, "PRAGMA litestream_time = '"+at.UTC().Format(time.RFC3339Nano)+"'"); err != nil {
		return m, err
	}
	m.set = time.Since(start)
	seen, err := b.proxy.read(ctx)
	if err != nil {
		return m, err
	}
	m.requests, m.waves = seen.Stats.Total(), seen.Stats.Waves
	var text string
	start = time.Now()
	err = d.conn.QueryRowContext(ctx, aboutPost, 1+b.rng.IntN(b.Data.Posts)).Scan(&text)
	m.query = time.Since(start)
	return m, err
}
