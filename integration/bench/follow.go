package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/integration/sample"
	"github.com/litefs-s3/litefs-s3/integration/servers"
	"github.com/litefs-s3/litefs-s3/integration/slowproxy"
	"github.com/litefs-s3/litefs-s3/objstore"
)

// glance is the time between two looks at what the reader sees.
const glance = 2 * time.Millisecond

// arrival is how one file reached the reader.
type arrival struct {
	delay time.Duration // from the end of the PUT until a transaction could read it
	after time.Duration // from the arrival of the request that met it, at the proxy, until then
}

// measureFollow lets a writer add a file about every second, at random moments, to a replica that is open and looks for
// news every second, and then stay silent.
func measureFollow(ctx context.Context, b *bench) (err error) {
	dir, err := os.MkdirTemp("", "litefs-s3-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	w, err := b.newWriter(ctx, filepath.Join(dir, "app.db"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	poll := b.lasting(time.Second)
	d, err := b.ready(ctx, litefss3.Config{ReplicaURL: b.scratchURL(b.Endpoint), PollInterval: poll})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	if err := errors.Join(b.following(ctx, d, w, poll), b.awaiting(ctx, d, w, poll)); err != nil {
		return err
	}
	return b.idle(ctx, poll)
}

func (b *bench) scratchURL(endpoint string) string {
	return servers.S3{Endpoint: endpoint}.URL(b.Scratch, prefix)
}

// newWriter copies the replica into the scratch bucket, and the local file to path, and goes on from there.
func (b *bench) newWriter(ctx context.Context, path string) (*litestreamWriter, error) {
	from, _, err := litefss3.OpenStore(ctx, litefss3.Config{ReplicaURL: b.Data.url(b.Direct)})
	if err != nil {
		return nil, err
	}
	to, _, err := litefss3.OpenStore(ctx, litefss3.Config{ReplicaURL: b.scratchURL(b.Direct)})
	if err != nil {
		return nil, err
	}
	if err := errors.Join(copyReplica(ctx, to, from), sample.Copy(path, b.Local)); err != nil {
		return nil, err
	}
	return openWriter(to, path, chainTXID)
}

// copyReplica copies every object.
func copyReplica(ctx context.Context, to objstore.Putter, from objstore.Store) error {
	all, err := objstore.ListAll(ctx, from, "", "")
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for _, o := range all {
		g.Go(func() error {
			part, err := from.ReadPrefix(ctx, objstore.Ref{Key: o.Key}, o.Size)
			if err != nil {
				return err
			}
			_, err = to.Put(ctx, o.Key, newBody(part.Data), objstore.PutOptions{})
			return err
		})
	}
	return g.Wait()
}

// following measures how files reach the reader.
func (b *bench) following(ctx context.Context, d *database, w *litestreamWriter, poll time.Duration) error {
	if _, err := b.arrive(ctx, d, w); err != nil { // the first one proves that both go on with the same history
		return err
	}
	if err := b.proxy.reset(ctx); err != nil {
		return err
	}
	start := time.Now()
	delays, afters := []time.Duration{}, []time.Duration{}
	for range max(3, b.times(12)) {
		time.Sleep(time.Duration(b.rng.Int64N(int64(poll)))) // a random moment between two polls
		a, err := b.arrive(ctx, d, w)
		if err != nil {
			return err
		}
		delays, afters = append(delays, a.delay), append(afters, a.after-b.Latency)
	}
	seen, err := b.proxy.read(ctx)
	if err != nil {
		return err
	}
	polls := time.Since(start).Seconds() / poll.Seconds()
	b.add(fmt.Sprintf("writes=%d/poll=%s", len(delays), poll),
		figure{"p50", millis, ms(median(delays))}, figure{"p99", millis, ms(quantile(delays, 0.99))},
		figure{"beyond round trip", millis, ms(median(afters))},
		figure{"GETs", count, float64(seen.gets())}, figure{"GETs/poll", each, float64(seen.gets()) / polls},
		figure{"LISTs", count, float64(seen.lists())})
	return nil
}

// arrive writes a file and waits until it can be read.
func (b *bench) arrive(ctx context.Context, d *database, w *litestreamWriter) (arrival, error) {
	if err := w.write(ctx); err != nil {
		return arrival{}, err
	}
	put := time.Now()
	for {
		var txid string
		if err := d.conn.QueryRowContext(ctx, "PRAGMA litestream_txid").Scan(&txid); err != nil {
			return arrival{}, err
		}
		if txid == w.txid.String() {
			break
		}
		if time.Since(put) > time.Minute {
			return arrival{}, fmt.Errorf("the reader stands at txid %s, %s was written a minute ago", txid, w.txid)
		}
		time.Sleep(glance)
	}
	visible := time.Now()
	seen, err := b.proxy.now(ctx)
	if err != nil {
		return arrival{}, err
	}
	met, err := metBy(seen, w)
	return arrival{delay: visible.Sub(put), after: visible.Sub(met)}, err
}

// awaiting measures how files reach a reader that says which transaction it waits for, as one does that must read what was written
// elsewhere: from the end of the PUT until the PRAGMA returns. It has waited for a random part of a second then, and its requests are counted.
func (b *bench) awaiting(ctx context.Context, d *database, w *litestreamWriter, poll time.Duration) error {
	if err := b.proxy.reset(ctx); err != nil {
		return err
	}
	var delays []time.Duration
	waited := time.Duration(0)
	for range max(3, b.times(20)) {
		delay, took, err := b.awaitOne(ctx, d, w, time.Duration(b.rng.Int64N(int64(poll))))
		if err != nil {
			return err
		}
		delays, waited = append(delays, delay), waited+took
	}
	seen, err := b.proxy.read(ctx)
	if err != nil {
		return err
	}
	b.add(fmt.Sprintf("waiter=1/writes=%d/poll=%s", len(delays), poll),
		figure{"p50", millis, ms(median(delays))}, figure{"p99", millis, ms(quantile(delays, 0.99))},
		figure{"GETs", count, float64(seen.gets())}, figure{"GETs/s waited", each, float64(seen.gets()) / waited.Seconds()},
		figure{"LISTs", count, float64(seen.lists())})
	return nil
}

// awaitOne waits for the next file, which is written after the pause. It returns how long after the PUT the waiting ended, and how long it took.
func (b *bench) awaitOne(ctx context.Context, d *database, w *litestreamWriter, pause time.Duration) (delay, took time.Duration, err error) {
	var came time.Time
	began, wait := time.Now(), fmt.Sprintf("PRAGMA litestream_wait_txid = '%s'", w.txid+1)
	g, waiting := errgroup.WithContext(ctx)
	g.Go(func() error {
		_, err := d.conn.ExecContext(waiting, wait)
		came = time.Now()
		return err
	})
	time.Sleep(pause)
	if err := w.write(ctx); err != nil {
		return 0, 0, errors.Join(err, g.Wait())
	}
	put := time.Now()
	if err := g.Wait(); err != nil {
		return 0, 0, err
	}
	var txid string
	if err := d.conn.QueryRowContext(ctx, "PRAGMA litestream_txid").Scan(&txid); err != nil {
		return 0, 0, err
	}
	if txid != w.txid.String() {
		return 0, 0, fmt.Errorf("the reader waited for txid %s and stands at %s", w.txid, txid)
	}
	return max(came.Sub(put), 0), came.Sub(began), nil
}

// metBy is when the request came that found the newest file.
func metBy(seen *traffic, w *litestreamWriter) (time.Time, error) {
	key := prefix + "/" + (&index.File{Level: 0, Min: w.txid, Max: w.txid}).Key()
	for _, r := range seen.Transcript {
		if r.Key == key && r.Kind != slowproxy.List && (r.Status == 200 || r.Status == 206) {
			return seen.Since.Add(r.Start), nil
		}
	}
	return time.Time{}, fmt.Errorf("nobody asked for %s", key)
}

// idle counts what an open replica asks for when nothing happens.
func (b *bench) idle(ctx context.Context, poll time.Duration) error {
	if err := b.proxy.reset(ctx); err != nil {
		return err
	}
	start := time.Now()
	time.Sleep(10 * poll)
	seen, err := b.proxy.now(ctx)
	if err != nil {
		return err
	}
	took := time.Since(start)
	b.add(fmt.Sprintf("writes=0/poll=%s", poll),
		figure{"GETs", count, float64(seen.gets())},
		figure{"GETs/poll", each, float64(seen.gets()) / (took.Seconds() / poll.Seconds())},
		figure{"LISTs", count, float64(seen.lists())},
		figure{"requests/min", count, float64(seen.Stats.Total()) / took.Minutes()},
		figure{"USD/month", each, dollars(seen) * (30 * 24 * time.Hour).Seconds() / took.Seconds()})
	return nil
}

// dollars is what the requests cost by the prices of S3 Standard in us-east-1.
func dollars(seen *traffic) float64 {
	const get, list = 0.0004 / 1000, 0.005 / 1000
	return get*float64(seen.gets()) + list*float64(seen.lists())
}
