package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/litefs-s3/litefs-s3/integration/slowproxy"
)

// measure is one thing that is measured.
type measure struct {
	name  string
	about string // for people
	data  string // the dataset it is about, when it is not about all the user asks for
	near  bool   // latency does not matter: measured without
	asked bool   // measured only when it is named: it takes a C compiler and minutes
	run   func(context.Context, *bench) error
}

// measures in the order of the tables.
var measures = []measure{
	{name: "open", about: "open the replica and read the schema", run: measureOpen},
	{name: "first", about: "first answer: open, one row by rowid and the row it refers to", run: measureFirst},
	{name: "sidecar", about: "first answer with and without the sidecar, in turns", run: measureSidecar},
	{name: "deep", about: "open the page table of a database of 10.6 GB that is not there, with and without sidecar", data: "small", run: measureDeep},
	{name: "points", about: "200 cold lookups by random rowid in an open replica", run: measurePoints},
	{name: "join", about: "the ten latest posts of 200 random users, cold", run: measureJoin},
	{name: "scan", about: "SELECT count(*), sum(length(body)) FROM posts", run: measureScan},
	{name: "walk", about: "SELECT count(*) FROM posts NOT INDEXED: all pages and next to no SQL", run: measureWalk},
	{name: "index", about: "SELECT count(*) FROM posts INDEXED BY posts_user", run: measureIndex},
	{name: "warm", about: "warm lookups by rowid, beside the same driver on a local file", near: true, run: measureWarm},
	{name: "hydrate", about: "a complete local copy, beside plain GETs and writes; lookups meanwhile and afterwards", run: measureHydrate},
	{name: "follow", about: "from the end of a PUT until a reader sees it; then idle", data: "small", run: measureFollow},
	{name: "commit", about: "commits, beside the same driver on a local file; what readers notice of uploads", data: "small", run: measureCommit},
	{name: "rewrite", about: "every row of a table updated in one transaction", near: true, run: measureRewrite},
	{name: "restore", about: "a file of the newest state, beside litestream restore and plain GETs and writes; then verify", run: measureRestore},
	{name: "compact", about: "the chain merged into a snapshot", run: measureCompact},
	{name: "merge", about: "single transactions merged; a snapshot and a day of level 1 merged; stored and read back", data: "small", run: measureMerge},
	{name: "past", about: "PRAGMA litestream_time to 20 random instants", data: "history", run: measurePast},
	{name: "table", about: "memory of the page table", near: true, run: measureTable},
	{name: "trailer", about: "decode the page index of a million pages", data: "small", near: true, run: measureTrailer},
	{name: "peers", about: "the same work here, with Litestream's VFS extension, on a plain file, and by plain GETs", asked: true, run: measurePeers},
	{name: "memory", about: "memory of a reader's process", near: true, run: measureMemory},
}

func measureNamed(name string) (*measure, error) {
	i := slices.IndexFunc(measures, func(m measure) bool { return m.name == name })
	if i < 0 {
		return nil, fmt.Errorf("no measurement named %q; there are %s", name, strings.Join(measureNames(), ", "))
	}
	return &measures[i], nil
}

func measureNames() []string {
	var names []string
	for _, m := range measures {
		names = append(names, m.name)
	}
	return names
}

// plan is what to measure.
type plan struct {
	only      []string // names; empty means all
	databases []string // names of datasets, from the smallest
	latencies []time.Duration
	rate      int64         // bytes a second, all answers together; 0 is no limit
	handshake time.Duration // of each new connection
	count     int
	tiny      bool
	profiles  string // directory for CPU profiles; empty means none
	requests  string // directory for transcripts; empty means none
}

// wants reports whether m is measured.
func (p *plan) wants(m *measure) bool {
	if len(p.only) == 0 {
		return !m.asked
	}
	return slices.Contains(p.only, m.name)
}

// jobs are the measurements of one run, in order.
func (p *plan) jobs(f *fixture, run int) []job {
	var jobs []job
	for _, m := range measures {
		if !p.wants(&m) {
			continue
		}
		names, latencies := p.databases, p.latencies
		if m.data != "" {
			names = []string{m.data}
		}
		if m.near {
			latencies = []time.Duration{0}
		}
		for _, name := range names {
			for _, latency := range latencies {
				j := job{Measure: m.name, Data: *f.datasets[name], Latency: latency, Run: run, Tiny: p.tiny}
				j.Profile, j.Transcript = j.fileFor(p.profiles, "pprof"), j.fileFor(p.requests, "txt")
				jobs = append(jobs, j)
			}
		}
	}
	return jobs
}

// datasetNames are those that the plan needs.
func (p *plan) datasetNames() []string {
	names := slices.Clone(p.databases)
	for _, m := range measures {
		if m.data != "" && p.wants(&m) {
			names = append(names, m.data)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// run measures everything, once after another, and returns the rows of all runs.
func (p *plan) run(ctx context.Context, f *fixture, progress io.Writer) (_ []row, err error) {
	if err := f.warm(ctx); err != nil {
		return nil, err
	}
	proxy, err := slowproxy.New(f.minio.Endpoint)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, proxy.Close()) }()
	control, err := newControl(proxy)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, control.close()) }()
	var rows []row
	for run := range p.count {
		for _, j := range p.jobs(f, run) {
			start, load := time.Now(), loadAverage()
			j.Endpoint, j.Direct, j.Control, j.Local = proxy.URL(), f.minio.Endpoint, control.url, f.image(&j.Data)
			proxy.Set(slowproxy.Settings{Latency: j.Latency, Handshake: p.handshake, TotalRate: p.rate})
			measured, err := f.withScratch(ctx, &j)
			if err != nil {
				return rows, err
			}
			rows = append(rows, measured...)
			fmt.Fprintf(progress, "%d/%d %-8s %-8s %-5s %6.1f s  load %s\n",
				run+1, p.count, j.Measure, j.Data.Name, j.Latency, time.Since(start).Seconds(), cmp.Or(load, "unknown"))
		}
	}
	return rows, nil
}

// withScratch does the job, with a bucket of its own that is removed afterwards.
func (f *fixture) withScratch(ctx context.Context, j *job) (_ []row, err error) {
	j.Scratch = "scratch-" + strings.ToLower(rand.Text()[:16])
	if err := f.minio.CreateBucket(ctx, j.Scratch); err != nil {
		return nil, err
	}
	defer func() {
		cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		err = errors.Join(err, f.minio.RemoveBucket(cleanup, j.Scratch))
	}()
	return j.start(ctx)
}
