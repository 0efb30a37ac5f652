package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/litefs-s3/litefs-s3/integration/slowproxy"
)

func TestMain(m *testing.M) {
	childMain(context.Background()) // this executable measures as well
	os.Exit(m.Run())
}

// TestSuite runs every measurement over a database of 3,000 posts: each has to say something, and every budget has to
// find its figure.
func TestSuite(t *testing.T) {
	if testing.Short() {
		t.Skip("needs MinIO")
	}
	t.Setenv("GORACE", os.Getenv("GORACE")+" atexit_sleep_ms=0") // for each of the processes it starts
	f, err := openFixture(t.Context(), t.TempDir(), datasets(3000, 0), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.close(); err != nil {
			t.Error(err)
		}
	})
	dir := t.TempDir()
	p := plan{
		databases: []string{"small"}, latencies: []time.Duration{25 * time.Millisecond}, count: 1, tiny: true,
		profiles: dir, requests: dir,
	}
	rows, err := p.run(t.Context(), f, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range measures {
		if p.wants(&m) && !slices.ContainsFunc(rows, func(r row) bool { return r.Measure == m.name && len(r.Figures) > 0 }) {
			t.Errorf("%s measured nothing", m.name)
		}
	}
	verdicts := judge(rows)
	for _, b := range budgets {
		if !slices.ContainsFunc(verdicts, func(v verdict) bool { return v.what == b.what }) {
			t.Errorf("budget %q found no figure", b.what)
		}
	}
	checkPlausible(t, rows)
	checkOutput(t, newReport(thisMachine(), new(plan), rows))
	if files, _ := filepath.Glob(filepath.Join(dir, "scan-small-25ms-1.*")); len(files) != 2 {
		t.Errorf("want a profile and a transcript of the scan, got %v", files)
	}
}

// checkPlausible checks figures that noise cannot change.
func checkPlausible(t *testing.T, rows []row) {
	t.Helper()
	for _, r := range rows {
		value := func(name string) float64 {
			v, ok := r.figure(name)
			if !ok {
				t.Errorf("%s %s has no figure %q", r.Measure, r.Case, name)
			}
			return v
		}
		switch {
		case r.Measure == "open" && value("LISTs") != 1:
			t.Errorf("%s took %g LISTs, want 1", r.Case, value("LISTs"))
		case r.Measure == "open" && value("with schema") < 2*ms(r.Latency):
			t.Errorf("%s took %g ms, less than two requests", r.Case, value("with schema"))
		case r.Measure == "scan" && strings.HasPrefix(r.Case, "how=cold") && value("fetched") < value("needed"):
			t.Errorf("%s fetched %g bytes of %g", r.Case, value("fetched"), value("needed"))
		}
	}
}

// checkOutput checks that everything that can be printed is.
func checkOutput(t *testing.T, r *report) {
	t.Helper()
	var tables, lines bytes.Buffer
	r.writeTables(&tables)
	for _, want := range []string{r.Before.Go, "load average", "open: ", "follow: ", "budgets", "how=raw"} {
		if !strings.Contains(tables.String(), want) {
			t.Errorf("tables without %q:\n%s", want, tables.String())
		}
	}
	r.writeBenchmarks(&lines)
	line := regexp.MustCompile(`^(goos|goarch|pkg): \S+$|^Benchmark[A-Z]\S*/latency=\S+ 1( -?[0-9.e+-]+ [^\s]+)+$`)
	for text := range strings.Lines(lines.String()) {
		if text = strings.TrimSuffix(text, "\n"); !line.MatchString(text) {
			t.Errorf("not what benchstat reads: %s", text)
		}
	}
	path := filepath.Join(t.TempDir(), "out.json")
	if err := r.writeJSON(path); err != nil {
		t.Error(err)
	}
}

func TestParseFlags(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		err  string // part of it; empty when there is none
	}{
		{nil, ""},
		{[]string{"-quick", "-only", "open,scan", "-latency", "0,25ms", "-count", "3"}, ""},
		{[]string{"-only", "opne"}, `no measurement named "opne"`},
		{[]string{"-db", "huge"}, `no database named "huge"`},
		{[]string{"-latency", "fast"}, `latency "fast"`},
		{[]string{"-latency", "-1ms"}, `latency "-1ms"`},
		{[]string{"-count", "0"}, "at least one"},
		{[]string{"open"}, `unexpected argument "open"`},
	} {
		o, err := parseFlags(c.args)
		switch {
		case c.err == "" && err != nil:
			t.Errorf("%v: %v", c.args, err)
		case c.err == "" && (len(o.databases) == 0 || len(o.latencies) == 0):
			t.Errorf("%v: nothing to measure", c.args)
		case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%v: got error %v, want one with %q", c.args, err, c.err)
		}
	}
}

func TestExtents(t *testing.T) {
	t.Parallel()
	requests := []slowproxy.Request{
		{Kind: slowproxy.GetRange, Status: 206, Key: "app/b", Range: "bytes=0-9"},
		{Kind: slowproxy.GetRange, Status: 206, Key: "app/a", Range: "bytes=10-19"},
		{Kind: slowproxy.GetRange, Status: 206, Key: "app/a", Range: "bytes=0-9"},
		{Kind: slowproxy.GetRange, Status: 206, Key: "app/a", Range: "bytes=5-14"},
		{Kind: slowproxy.GetRange, Status: 206, Key: "app/a", Range: "bytes=30-39"},
		{Kind: slowproxy.GetRange, Status: 503, Key: "app/a", Range: "bytes=50-59"},
		{Kind: slowproxy.List, Status: 200, Key: "app/"},
	}
	got, err := extentsOf(requests)
	if err != nil {
		t.Fatal(err)
	}
	want := []extent{{"a", 0, 20}, {"a", 30, 40}, {"b", 0, 10}}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if n := totalSize(got); n != 40 {
		t.Errorf("got %d bytes, want 40", n)
	}
	cut := parts(got[:1], 8)
	if want := []extent{{"a", 0, 8}, {"a", 8, 16}, {"a", 16, 20}}; !slices.Equal(cut, want) {
		t.Errorf("got %v, want %v", cut, want)
	}
}

func TestMedians(t *testing.T) {
	t.Parallel()
	run := func(name string, v float64) row {
		return row{Measure: "open", Case: name, Figures: []figure{{"time", millis, v}}}
	}
	got := medians([]row{run("a", 5), run("b", 1), run("a", 1), run("b", 2), run("a", 3)})
	if len(got) != 2 || got[0].Figures[0].Value != 3 || got[1].Figures[0].Value != 1 {
		t.Errorf("got %v, want a with 3 and b with 1", got)
	}
}

func TestQuantile(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		values []int
		q      float64
		want   int
	}{
		{nil, 0.5, 0},
		{[]int{7}, 0.5, 7},
		{[]int{7}, 0.99, 7},
		{[]int{3, 1, 2}, 0.5, 2},
		{[]int{4, 3, 2, 1}, 0.5, 2},
		{[]int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, 0.99, 10},
		{[]int{1, 2, 3}, 1, 3},
	} {
		if got := quantile(slices.Clone(c.values), c.q); got != c.want {
			t.Errorf("quantile %g of %v: got %d, want %d", c.q, c.values, got, c.want)
		}
	}
}

func TestBudget(t *testing.T) {
	t.Parallel()
	rows := []row{
		{Measure: "m", DB: "small", Latency: 1, Case: "how=cold", Figures: []figure{{"rate", share, 0.9}}},
		{Measure: "m", DB: "small", Latency: 2, Case: "how=cold", Figures: []figure{{"rate", share, 0.7}}},
		{Measure: "m", DB: "small", Latency: 2, Case: "how=raw", Figures: []figure{{"rate", share, 0.1}}},
	}
	b := budget{measure: "m", figure: "rate", latency: anyLatency, cases: "how=cold", limit: 0.8, least: true}
	v, ok := b.judge(rows, "small")
	if !ok || v.met != 1 || v.of != 2 || v.worst.Value != 0.7 {
		t.Errorf("got %+v, %v; want 1 of 2 met, 0.7 the worst", v, ok)
	}
	if _, ok := b.judge(rows, "large"); ok {
		t.Error("a verdict about a database that was not measured")
	}
}

func TestFigureString(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		figure
		want string
	}{
		{figure{"", count, 12}, "12"},
		{figure{"", millis, 0.456}, "0.46"},
		{figure{"", millis, 45.67}, "45.7"},
		{figure{"", rate, 1234.5}, "1234"},
		{figure{"", byteSize, 999}, "999 B"},
		{figure{"", byteSize, 1.5e6}, "1.5 MB"},
		{figure{"", share, 0.876}, "88 %"},
		{figure{"", perSec, 123456.7}, "123457"},
	} {
		if got := c.String(); got != c.want {
			t.Errorf("%v: got %q, want %q", c.figure, got, c.want)
		}
	}
}
