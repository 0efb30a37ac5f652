package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"runtime/pprof"
	"strconv"
	"strings"

	litefss3 "github.com/litefs-s3/litefs-s3"
)

// measureMemory looks at what the process takes after opening, after random lookups, after a scan, and when the garbage of
// that scan is collected. Cache and page table are what the user pays for; the rest is fixed.
func measureMemory(ctx context.Context, b *bench) (err error) {
	if _, err := resident(); err != nil {
		return nil // not on this system
	}
	if err := errors.Join(b.weigh("after=start", litefss3.Status{}), b.weighLocal(ctx)); err != nil {
		return err
	}
	d, err := b.open(ctx, b.config())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"after=open", func() error { return d.schema(ctx) }},
		{"after=lookups", func() error { return b.lookups(ctx, d) }},
		{"after=scan", func() error {
			var answer string
			return d.conn.QueryRowContext(ctx, scanPosts).Scan(&answer)
		}},
		{"after=collection", func() error {
			debug.FreeOSMemory()
			debug.FreeOSMemory() // what a sync.Pool holds survives one collection
			return b.heap()
		}},
	} {
		if err := step.do(); err != nil {
			return err
		}
		status, err := d.status(ctx)
		if err != nil {
			return err
		}
		if err := b.weigh(step.name, status); err != nil {
			return err
		}
	}
	return nil
}

// weighLocal shows what the driver takes for the plain file.
func (b *bench) weighLocal(ctx context.Context) error {
	d, err := openLocal(ctx, b.Local, "ro")
	if err != nil {
		return err
	}
	return errors.Join(d.schema(ctx), b.weigh("after=local", litefss3.Status{}), d.close())
}

func (b *bench) lookups(ctx context.Context, d *database) error {
	l, err := d.lookup(ctx, postByID)
	if err != nil {
		return err
	}
	for range b.times(200) {
		if err := l.row(ctx, 1+b.rng.IntN(b.Data.Posts)); err != nil {
			return errors.Join(err, l.close())
		}
	}
	return l.close()
}

// heap writes what is in memory beside the CPU profile, if one is wanted.
func (b *bench) heap() (err error) {
	if b.Profile == "" {
		return nil
	}
	f, err := os.Create(b.Profile + ".heap")
	if err != nil {
		return err
	}
	return errors.Join(pprof.WriteHeapProfile(f), f.Close())
}

// weigh adds a row with the memory of this moment.
func (b *bench) weigh(name string, status litefss3.Status) error {
	m, err := resident()
	if err != nil {
		return err
	}
	cache, table := status.Cache.Used, status.Position.Table
	b.add(name,
		figure{"resident", byteSize, float64(m.now)}, figure{"peak", byteSize, float64(m.peak)},
		figure{"cache", byteSize, float64(cache)}, figure{"table", byteSize, float64(table)},
		figure{"beyond", byteSize, float64(m.now - cache - table)},
		figure{"peak beyond", byteSize, float64(m.peak - cache - table)},
		figure{"live heap", byteSize, float64(liveHeap())})
	return nil
}

// liveHeap is what the last collection found to be in use. What is resident beyond it is garbage that was not collected yet, room that the
// collector leaves until then, and what is not Go's.
func liveHeap() int64 {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	return int64(live[0].Value.Uint64())
}

// forgetPeak gives unused memory back and lets the peak begin anew.
func forgetPeak() error {
	debug.FreeOSMemory()
	debug.FreeOSMemory() // what a sync.Pool holds survives one collection
	return os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)
}

// residence is the memory of this process that is not swapped out, in bytes, now and at most.
type residence struct{ now, peak int64 }

// resident asks Linux.
func resident() (m residence, err error) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return m, err
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		switch {
		case err != nil:
		case name == "VmRSS":
			m.now = n << 10
		case name == "VmHWM":
			m.peak = n << 10
		}
	}
	if m.now == 0 {
		return m, fmt.Errorf("no VmRSS in /proc/self/status")
	}
	return m, nil
}
