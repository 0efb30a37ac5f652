package main

import (
	"fmt"
	"strings"
	"time"
)

// budget is a goal for a figure, from section 14 of the design.
type budget struct {
	what    string
	measure string
	figure  string
	latency time.Duration // at which it holds; any when negative
	cases   string        // rows whose case begins so; all when empty
	limit   float64
	least   bool // the figure should be at least that, else at most
}

const anyLatency = -1

var budgets = []budget{
	{what: "open: dependent waves", measure: "open", figure: "waves", latency: 25 * time.Millisecond, cases: "process=", limit: 3},
	{what: "open: longest chain of requests", measure: "open", figure: "depth", latency: 25 * time.Millisecond, cases: "process=", limit: 3},
	{what: "open at 25 ms", measure: "open", figure: "with schema", latency: 25 * time.Millisecond, cases: "process=new", limit: 120},
	{what: "open at 25 ms, 2.6 million pages", measure: "deep", figure: "open", latency: 25 * time.Millisecond, limit: 120},
	{what: "first row at 25 ms, open included", measure: "first", figure: "first row", latency: 25 * time.Millisecond, cases: "process=new", limit: 200},
	{what: "cold scan: share of plain GETs", measure: "scan", figure: "of raw", latency: anyLatency, cases: "how=cold", limit: 0.8, least: true},
	{what: "cold scan: GETs per 512 KiB", measure: "scan", figure: "GETs/512 KiB", latency: anyLatency, cases: "how=cold", limit: 1},
	{what: "cold scan: share of GETs and SQL", measure: "scan", figure: "of max(raw, local)", latency: anyLatency, cases: "how=cold", limit: 0.8, least: true},
	{what: "cold walk: share of plain GETs", measure: "walk", figure: "of raw", latency: anyLatency, cases: "how=cold", limit: 0.8, least: true},
	{what: "index scan: share of plain GETs", measure: "index", figure: "of raw", latency: anyLatency, cases: "how=cold", limit: 0.8, least: true},
	{what: "index scan: GETs per 512 KiB", measure: "index", figure: "GETs/512 KiB", latency: anyLatency, cases: "how=cold", limit: 1},
	{what: "warm lookups: share of local file", measure: "warm", figure: "of local", latency: anyLatency, limit: 0.9, least: true},
	{what: "hydration: share of plain GETs and writes", measure: "hydrate", figure: "of raw", latency: anyLatency, cases: "how=hydrate", limit: 0.8, least: true},
	{what: "hydration: bytes fetched for each needed", measure: "hydrate", figure: "fetched/needed", latency: anyLatency, cases: "how=hydrate", limit: 1.05},
	{what: "hydration: memory above the reader's", measure: "hydrate", figure: "resident above reader", latency: anyLatency, cases: "how=hydrate", limit: 64 << 20},
	{what: "hydrated lookups: share of local file", measure: "hydrate", figure: "of local", latency: anyLatency, cases: "after", limit: 0.9, least: true},
	{what: "following: GETs a poll, idle", measure: "follow", figure: "GETs/poll", latency: anyLatency, cases: "writes=0", limit: 1},
	{what: "following: LISTs, idle", measure: "follow", figure: "LISTs", latency: anyLatency, cases: "writes=0", limit: 0},
	{what: "following, idle: dollars a month", measure: "follow", figure: "USD/month", latency: anyLatency, cases: "writes=0", limit: 1.1},
	{what: "following: median until a waiter goes on", measure: "follow", figure: "p50", latency: anyLatency, cases: "waiter=1", limit: 100},
	{what: "following: ms beyond one round trip", measure: "follow", figure: "beyond round trip", latency: anyLatency, limit: 10},
	{what: "commits, durability local: share of a local file", measure: "commit", figure: "of local", latency: anyLatency, cases: "rows=1/durability=local", limit: 0.7, least: true},
	{what: "commits, durability memory: share of a local file", measure: "commit", figure: "of local", latency: anyLatency, cases: "rows=1/durability=memory", limit: 0.8, least: true},
	{what: "steady writing: PUTs a second", measure: "commit", figure: "PUTs/s", latency: anyLatency, cases: "steady", limit: 1.1},
	{what: "nothing to write: PUTs a second", measure: "commit", figure: "PUTs/s", latency: anyLatency, cases: "clean", limit: 0.1},
	{what: "writing: LISTs", measure: "commit", figure: "LISTs", latency: anyLatency, cases: "steady", limit: 0},
	{what: "restore: share of plain GETs, writes, flush", measure: "restore", figure: "of raw+pages+flush", latency: anyLatency, cases: "how=restore", limit: 0.8, least: true},
	{what: "restore: times as fast as litestream's", measure: "restore", figure: "times litestream", latency: anyLatency, cases: "how=restore", limit: 4, least: true},
	{what: "compaction: memory", measure: "compact", figure: "peak above before", latency: anyLatency, limit: 256 << 20},
	{what: "merging: memory", measure: "merge", figure: "peak above before", latency: anyLatency, limit: 256 << 20},
	{what: "setting a time: requests", measure: "past", figure: "requests max", latency: anyLatency, limit: 12},
	{what: "page table: bytes a page, snapshot", measure: "table", figure: "base/page", latency: anyLatency, limit: 3},
	{what: "page table: bytes a page, newer layers", measure: "table", figure: "layers/page", latency: anyLatency, limit: 16},
	{what: "page table: decode a million pages", measure: "trailer", figure: "time", latency: anyLatency, limit: 50},
	{what: "memory beyond cache and table, open", measure: "memory", figure: "beyond", latency: anyLatency, cases: "after=open", limit: 30 << 20},
	{what: "memory beyond cache and table, scanned", measure: "memory", figure: "beyond", latency: anyLatency, cases: "after=scan", limit: 30 << 20},
	{what: "memory beyond cache and table, collected", measure: "memory", figure: "beyond", latency: anyLatency, cases: "after=collection", limit: 30 << 20},
}

// verdict is how one budget was kept with one dataset: the worst of its rows.
type verdict struct {
	budget
	db    string
	worst figure
	where string // the worst row
	met   int
	of    int
}

// judge holds the medians against the budgets.
func judge(rows []row) []verdict {
	var all []verdict
	for _, b := range budgets {
		for _, db := range datasetsOf(rows) {
			if v, ok := b.judge(rows, db); ok {
				all = append(all, v)
			}
		}
	}
	return all
}

func datasetsOf(rows []row) []string {
	var names []string
	seen := map[string]bool{}
	for _, r := range rows {
		if !seen[r.DB] {
			seen[r.DB] = true
			names = append(names, r.DB)
		}
	}
	return names
}

func (b budget) judge(rows []row, db string) (v verdict, ok bool) {
	v = verdict{budget: b, db: db}
	for _, r := range rows {
		if r.Measure != b.measure || r.DB != db || b.latency >= 0 && r.Latency != b.latency || !strings.HasPrefix(r.Case, b.cases) {
			continue
		}
		for _, f := range r.Figures {
			if f.Name != b.figure {
				continue
			}
			v.of++
			if b.keeps(f.Value) {
				v.met++
			}
			if v.of == 1 || b.worse(f.Value, v.worst.Value) {
				v.worst, v.where = f, fmt.Sprintf("%s %s", r.Latency, r.Case)
			}
		}
	}
	return v, v.of > 0
}

// keeps compares as the tables show it: what reads 1.00 is no more than 1.
func (b budget) keeps(value float64) bool {
	const tolerance = 0.005
	if b.least {
		return value >= b.limit*(1-tolerance)
	}
	return value <= b.limit*(1+tolerance)
}

func (b budget) worse(x, y float64) bool {
	if b.least {
		return x < y
	}
	return x > y
}
