package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/integration/servers"
	"github.com/litefs-s3/litefs-s3/integration/slowproxy"
	"github.com/litefs-s3/litefs-s3/writer"
)

// measureCommit commits single rows and one large transaction, beside the same driver on a local file, and looks what readers and commits
// notice of uploads.
func measureCommit(ctx context.Context, b *bench) (err error) {
	dir, err := os.MkdirTemp("", "litefs-s3-bench-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	c := &committing{bench: b, dir: dir}
	for _, durability := range []writer.Durability{writer.Local, writer.Memory, writer.Remote} {
		if err := c.singles(ctx, durability); err != nil {
			return err
		}
	}
	return errors.Join(c.large(ctx), c.steady(ctx), c.readers(ctx))
}

type committing struct {
	*bench
	dir  string
	dirs int
}

// path is a new name in the directory.
func (c *committing) path() string {
	c.dirs++
	return filepath.Join(c.dir, fmt.Sprint(c.dirs))
}

// ours opens a new database in the bucket.
func (c *committing) ours(ctx context.Context, d writer.Durability) (*database, error) {
	name := fmt.Sprintf("written-%d", c.dirs)
	conf := litefss3.Config{
		ReplicaURL: servers.S3{Endpoint: c.Endpoint}.URL(c.Scratch, name), Write: true, Durability: d, BufferPath: c.path(),
	}
	db, err := litefss3.OpenDB(conf)
	if err != nil {
		return nil, err
	}
	return c.prepare(ctx, db)
}

// plain opens a new local file with a write-ahead log.
func (c *committing) plain(ctx context.Context, synchronous string) (*database, error) {
	db, err := sql.Open("sqlite3", "file:"+filepath.ToSlash(c.path())+"?_pragma=journal_mode(wal)&_pragma=synchronous("+synchronous+")")
	if err != nil {
		return nil, err
	}
	return c.prepare(ctx, db)
}

func (c *committing) prepare(ctx context.Context, db *sql.DB) (*database, error) {
	d, err := connect(ctx, db)
	if err != nil {
		return nil, err
	}
	if _, err := d.conn.ExecContext(ctx, "CREATE TABLE t(id INTEGER PRIMARY KEY, who INTEGER, x TEXT); CREATE INDEX t_who ON t(who)"); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

// insert commits one row after another for about d, and returns how long each took.
func insert(ctx context.Context, db *database, d time.Duration) (times []time.Duration, err error) {
	stmt, err := db.conn.PrepareContext(ctx, "INSERT INTO t(who, x) VALUES (?, hex(randomblob(50)))")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stmt.Close()) }()
	for start := time.Now(); time.Since(start) < d; {
		begin := time.Now()
		if _, err := stmt.ExecContext(ctx, len(times)%1000); err != nil {
			return nil, err
		}
		times = append(times, time.Since(begin))
	}
	return times, nil
}

// singles commits single rows here and on the local file that is comparable, in turns.
func (c *committing) singles(ctx context.Context, d writer.Durability) error {
	synchronous := map[writer.Durability]string{writer.Local: "full", writer.Memory: "off", writer.Remote: "full"}[d]
	ours, err := c.ours(ctx, d)
	if err != nil {
		return err
	}
	plain, err := c.plain(ctx, synchronous)
	if err != nil {
		return errors.Join(err, ours.close())
	}
	var rates, plainRates, ratios []float64
	var all []time.Duration
	for range rounds {
		times, err := insert(ctx, ours, c.lasting(time.Second))
		if err != nil {
			return errors.Join(err, ours.close(), plain.close())
		}
		local, err := insert(ctx, plain, c.lasting(time.Second))
		if err != nil {
			return errors.Join(err, ours.close(), plain.close())
		}
		rates, plainRates = append(rates, perSecond(times)), append(plainRates, perSecond(local))
		ratios = append(ratios, rates[len(rates)-1]/plainRates[len(plainRates)-1])
		all = append(all, times...)
	}
	c.add("rows=1/durability="+d.String(), append([]figure{
		{"replica", perSec, median(rates)}, {"local " + synchronous, perSec, median(plainRates)}, {"of local", share, median(ratios)},
	}, timed(all)...)...)
	return errors.Join(ours.close(), plain.close())
}

func perSecond(times []time.Duration) float64 {
	var sum time.Duration
	for _, t := range times {
		sum += t
	}
	return float64(len(times)) / max(sum.Seconds(), 1e-9)
}

// large commits 100,000 rows at once.
func (c *committing) large(ctx context.Context) error {
	n := c.times(100_000)
	one := func(d *database, err error) (time.Duration, error) {
		if err != nil {
			return 0, err
		}
		start := time.Now()
		_, err = d.conn.ExecContext(ctx, "WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM s WHERE i < ?) INSERT INTO t(who, x) SELECT i % 1000, hex(randomblob(50)) FROM s", n)
		return time.Since(start), errors.Join(err, d.close())
	}
	ours, err := one(c.ours(ctx, writer.Local))
	if err != nil {
		return err
	}
	plain, err := one(c.plain(ctx, "full"))
	if err != nil {
		return err
	}
	c.add(fmt.Sprintf("rows=%d", n), figure{"time", millis, ms(ours)}, figure{"local time", millis, ms(plain)}, figure{"of local", share, plain.Seconds() / ours.Seconds()})
	return nil
}

// steady writes a little all the time, then nothing, and counts requests.
func (c *committing) steady(ctx context.Context) (err error) {
	d, err := c.ours(ctx, writer.Local)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	for _, writes := range []bool{true, false} {
		if _, err := d.conn.ExecContext(ctx, "PRAGMA litestream_sync"); err != nil {
			return err
		}
		if err := c.proxy.reset(ctx); err != nil {
			return err
		}
		start := time.Now()
		for time.Since(start) < c.lasting(10*time.Second) {
			if writes {
				if _, err := d.conn.ExecContext(ctx, "INSERT INTO t(who, x) VALUES (1, hex(randomblob(50)))"); err != nil {
					return err
				}
			}
			time.Sleep(20 * time.Millisecond)
		}
		seen, err := c.proxy.now(ctx)
		if err != nil {
			return err
		}
		seconds := time.Since(start).Seconds()
		c.add(map[bool]string{true: "steady", false: "clean"}[writes],
			figure{"PUTs/s", each, float64(seen.Stats.Requests[slowproxy.Put]) / seconds},
			figure{"GETs/s", each, float64(seen.gets()) / seconds}, figure{"LISTs", count, float64(seen.lists())},
			figure{"bytes/s", byteSize, float64(seen.Stats.BytesIn) / seconds})
	}
	return nil
}

// readers looks rows up while another connection commits, once with uploads all the time and once with none.
func (c *committing) readers(ctx context.Context) error {
	for _, uploads := range []bool{false, true} {
		interval := time.Hour
		if uploads {
			interval = 50 * time.Millisecond
		}
		if err := c.reading(ctx, uploads, interval); err != nil {
			return err
		}
	}
	return nil
}

func (c *committing) reading(ctx context.Context, uploads bool, interval time.Duration) (err error) {
	db, err := litefss3.OpenDB(litefss3.Config{
		ReplicaURL: servers.S3{Endpoint: c.Endpoint}.URL(c.Scratch, fmt.Sprintf("read-%d", c.dirs)), Write: true, BufferPath: c.path(), SyncInterval: interval,
	})
	if err != nil {
		return err
	}
	d, err := c.prepare(ctx, db)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	if _, err := d.conn.ExecContext(ctx, "WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM s WHERE i < 20000) INSERT INTO t(who, x) SELECT i % 1000, hex(randomblob(50)) FROM s"); err != nil {
		return err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	stop, done := make(chan struct{}), make(chan error, 1)
	var commits []time.Duration
	go func() {
		for {
			select {
			case <-stop:
				done <- nil
				return
			case <-time.After(2 * time.Millisecond):
			}
			start := time.Now()
			if _, err := d.conn.ExecContext(ctx, "UPDATE t SET x = hex(randomblob(50)) WHERE id = abs(random() % 20000)"); err != nil {
				done <- err
				return
			}
			commits = append(commits, time.Since(start))
		}
	}()
	var reads []time.Duration
	for start := time.Now(); time.Since(start) < c.lasting(5*time.Second); {
		begin := time.Now()
		var x string
		if err := conn.QueryRowContext(ctx, "SELECT x FROM t WHERE id = ?", 1+c.rng.IntN(20000)).Scan(&x); err != nil {
			return err
		}
		reads = append(reads, time.Since(begin))
		time.Sleep(time.Millisecond)
	}
	close(stop)
	if err := <-done; err != nil {
		return err
	}
	c.add(fmt.Sprintf("readers/uploads=%v", uploads), append(timed(reads),
		figure{"commit p50", millis, ms(median(commits))}, figure{"commit p99", millis, ms(quantile(commits, 0.99))})...)
	return nil
}

// measureRewrite updates every row of a replica in one transaction, and looks at the memory.
func measureRewrite(ctx context.Context, b *bench) (err error) {
	if _, err := resident(); err != nil {
		return nil // not on this system
	}
	dir, err := os.MkdirTemp("", "litefs-s3-bench-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	from, _, err := litefss3.OpenStore(ctx, litefss3.Config{ReplicaURL: b.Data.url(b.Direct)})
	if err != nil {
		return err
	}
	to, _, err := litefss3.OpenStore(ctx, litefss3.Config{ReplicaURL: b.scratchURL(b.Direct)})
	if err != nil {
		return err
	}
	if err := errors.Join(copyReplica(ctx, to, from), forgetPeak()); err != nil {
		return err
	}
	before, err := resident()
	if err != nil {
		return err
	}
	d, err := b.open(ctx, litefss3.Config{ReplicaURL: b.scratchURL(b.Endpoint), Write: true, BufferPath: filepath.Join(dir, "log"), MaxPending: 8 << 30})
	if err != nil {
		return err
	}
	start := time.Now()
	if _, err := d.conn.ExecContext(ctx, "UPDATE posts SET created_at = created_at + 1"); err != nil {
		return errors.Join(err, d.close())
	}
	committed := time.Since(start)
	if _, err := d.conn.ExecContext(ctx, "PRAGMA litestream_sync"); err != nil {
		return errors.Join(err, d.close())
	}
	uploaded := time.Since(start)
	s, err := d.status(ctx)
	if err != nil {
		return errors.Join(err, d.close())
	}
	after, err := resident()
	if err != nil {
		return errors.Join(err, d.close())
	}
	b.add("rewrite", figure{"database", byteSize, float64(s.Position.Bytes)}, figure{"uploaded", byteSize, float64(s.Writer.UploadBytes)},
		figure{"commit", millis, ms(committed)}, figure{"until uploaded", millis, ms(uploaded)},
		figure{"peak", byteSize, float64(after.peak)}, figure{"before", byteSize, float64(before.now)})
	return d.close()
}
