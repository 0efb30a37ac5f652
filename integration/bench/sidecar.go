package main

import (
	"context"
	"errors"
	"time"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/sidecar"
)

// sidecarRounds is how often each way of opening is tried; the median counts.
const sidecarRounds = 7

// measureSidecar opens the replica and looks a row up, and the one it refers to, with and without the sidecar in turns: first in a new process
// with it, then where code and driver are warm and the replica is not. The sidecar is made for that, and removed.
func measureSidecar(ctx context.Context, b *bench) (err error) {
	store, _, err := litefss3.OpenStore(ctx, litefss3.Config{ReplicaURL: b.Data.url(b.Direct)})
	if err != nil {
		return err
	}
	start := time.Now()
	made, err := sidecar.Update(ctx, store, sidecar.Options{})
	if err != nil {
		return err
	}
	took := time.Since(start)
	defer func() { err = errors.Join(err, store.Delete(context.WithoutCancel(ctx), sidecar.Key)) }()
	fresh, err := b.firstRow(ctx, litefss3.ReadSidecar)
	if err != nil {
		return err
	}
	b.add("mode=read/process=new", fresh.figures()...)
	modes := []litefss3.SidecarMode{litefss3.NoSidecar, litefss3.ReadSidecar}
	found := map[litefss3.SidecarMode][]*firstRow{}
	for range b.times(sidecarRounds) {
		for _, mode := range modes {
			f, err := b.firstRow(ctx, mode)
			if err != nil {
				return err
			}
			found[mode] = append(found[mode], f)
		}
	}
	for _, mode := range modes {
		b.add("mode="+mode.String()+"/process=warm", middle(found[mode]).figures()...)
	}
	alone, err := b.plainSidecar(ctx)
	if err != nil {
		return err
	}
	b.add("made", figure{"size", byteSize, float64(made.Size)}, figure{"upper pages", byteSize, float64(made.Packed)},
		figure{"tables", count, float64(made.Tables)}, figure{"making", millis, ms(took)}, figure{"plain GET", millis, ms(alone)})
	return nil
}

// firstRow is one opening and one lookup.
type firstRow struct {
	opened, schema, answered time.Duration // since the beginning
	seen                     *traffic
}

func (b *bench) firstRow(ctx context.Context, mode litefss3.SidecarMode) (*firstRow, error) {
	if err := b.proxy.reset(ctx); err != nil {
		return nil, err
	}
	c := b.config()
	c.Sidecar = mode
	f, start := new(firstRow), time.Now()
	d, err := b.open(ctx, c)
	if err != nil {
		return nil, err
	}
	f.opened = time.Since(start)
	err = d.schema(ctx)
	f.schema = time.Since(start)
	var text string
	if err == nil {
		err = d.conn.QueryRowContext(ctx, aboutPost, 1+b.rng.IntN(b.Data.Posts)).Scan(&text)
	}
	f.answered = time.Since(start)
	if err := errors.Join(err, d.close()); err != nil {
		return nil, err
	}
	f.seen, err = b.proxy.read(ctx)
	return f, err
}

func (f *firstRow) figures() []figure {
	return append(f.seen.figures(), figure{"open", millis, ms(f.opened)}, figure{"with schema", millis, ms(f.schema)},
		figure{"first row", millis, ms(f.answered)})
}

// middle has the median times, and the requests of the first: those are the same each time.
func middle(all []*firstRow) *firstRow {
	var opened, schema, answered []float64
	for _, f := range all {
		opened, schema, answered = append(opened, float64(f.opened)), append(schema, float64(f.schema)), append(answered, float64(f.answered))
	}
	m := *all[0]
	m.opened, m.schema, m.answered = time.Duration(median(opened)), time.Duration(median(schema)), time.Duration(median(answered))
	return &m
}

// plainSidecar is how long it takes to get the object and do nothing with it, over a new connection.
func (b *bench) plainSidecar(ctx context.Context) (time.Duration, error) {
	store, err := b.store(ctx)
	if err != nil {
		return 0, err
	}
	start := time.Now()
	_, err = store.ReadPrefix(ctx, objstore.Ref{Key: sidecar.Key}, 16<<20)
	return time.Since(start), err
}
