package main

import (
	"context"
	"errors"
	"time"

	"github.com/litefs-s3/litefs-s3/integration/slowproxy"
)

// measureOpen opens the replica in a new process and reads the schema, and once more in the same process, where code and
// driver are warm and the replica is not. Beside them it asks the same of the store without looking at the answers.
func measureOpen(ctx context.Context, b *bench) error {
	var seen *traffic
	for _, name := range []string{"process=new", "process=warm"} {
		if err := b.proxy.reset(ctx); err != nil {
			return err
		}
		t := startTimer()
		d, err := b.open(ctx, b.config())
		if err != nil {
			return err
		}
		opened := time.Since(t.start)
		err = d.schema(ctx)
		took, cpu := t.stop()
		if err := errors.Join(err, d.close()); err != nil {
			return err
		}
		if seen, err = b.proxy.read(ctx); err != nil {
			return err
		}
		b.add(name, append(seen.figures(),
			figure{"open", millis, ms(opened)}, figure{"with schema", millis, ms(took)}, figure{"CPU", millis, ms(cpu)})...)
	}
	return b.plainOpen(ctx, seen)
}

// plainOpen lists the replica and then gets at once everything that an open has got, over new connections as well.
func (b *bench) plainOpen(ctx context.Context, of *traffic) error {
	var pieces []extent
	for _, r := range of.Transcript {
		if r.Kind != slowproxy.GetRange || r.Status != 206 { // a sidecar that is not there
			continue
		}
		e, err := extentOf(r)
		if err != nil {
			return err
		}
		pieces = append(pieces, e)
	}
	if err := b.proxy.reset(ctx); err != nil {
		return err
	}
	t := startTimer()
	store, err := b.store(ctx)
	if err != nil {
		return err
	}
	if _, err := store.List(ctx, "", ""); err != nil {
		return err
	}
	if err := fetch(ctx, store, pieces, len(pieces)); err != nil {
		return err
	}
	took, cpu := t.stop()
	seen, err := b.proxy.read(ctx)
	if err != nil {
		return err
	}
	b.add("how=plain", append(seen.figures(), figure{"with schema", millis, ms(took)}, figure{"CPU", millis, ms(cpu)})...)
	return nil
}

// figures are the requests of a measurement.
func (t *traffic) figures() []figure {
	return []figure{
		{"GETs", count, float64(t.gets())}, {"LISTs", count, float64(t.lists())},
		{"waves", count, float64(t.Stats.Waves)}, {"depth", count, float64(t.Stats.Depth)},
		{"bytes", byteSize, float64(t.Stats.BytesOut)},
	}
}

// aboutPost is a lookup of one row and of the row that it refers to.
const aboutPost = "SELECT p.title || u.name FROM posts p JOIN users u ON u.id = p.user_id WHERE p.id = ?"

// measureFirst is the first answer of a new process: open the replica, look one row up, and the one it refers to.
func measureFirst(ctx context.Context, b *bench) error {
	for _, name := range []string{"process=new", "process=warm"} {
		if err := b.proxy.reset(ctx); err != nil {
			return err
		}
		start := time.Now()
		d, err := b.open(ctx, b.config())
		if err != nil {
			return err
		}
		var text string
		err = d.conn.QueryRowContext(ctx, aboutPost, 1+b.rng.IntN(b.Data.Posts)).Scan(&text)
		took := time.Since(start)
		if err := errors.Join(err, d.close()); err != nil {
			return err
		}
		seen, err := b.proxy.read(ctx)
		if err != nil {
			return err
		}
		b.add(name, append(seen.figures(), figure{"first row", millis, ms(took)})...)
	}
	return nil
}
