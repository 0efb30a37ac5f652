package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// measured is what bench -json writes, as far as it is drawn.
type measured struct {
	Before struct {
		OS, Arch, Go string
		Cores        int
		Time         time.Time
	} `json:"before"`
	Median []row `json:"median"`
}

// row is one case of one measurement.
type row struct {
	Measure string        `json:"measure"`
	DB      string        `json:"db"`
	Latency time.Duration `json:"latency"`
	Case    string        `json:"case"`
	Figures []struct {
		Name  string  `json:"name"`
		Value float64 `json:"value"`
	} `json:"figures"`
}

func readMeasured(path string) (*measured, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%w; make it with go run ./integration/bench -only peers -latency 25ms -json %s", err, path)
	}
	var m measured
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, fmt.Errorf("%s is not what bench -json writes: %w", path, err)
	}
	m.Median = slices.DeleteFunc(m.Median, func(r row) bool { return r.Measure != "peers" })
	if len(m.Median) == 0 {
		return nil, fmt.Errorf("%s holds no measurement of peers; run bench with -only peers", path)
	}
	return &m, nil
}

// peers in the order of the bars.
var peers = []struct{ how, label, color string }{
	{"litefs-s3", "litefs-s3", "#2563eb"},
	{"litestream", "Litestream's VFS", "#d97706"},
	{"raw", "plain GETs", "#64748b"},
	{"local", "plain local file", "#16a34a"},
}

// work is a group of bars: the figure that is drawn of it, and the one that it falls back to.
type work struct{ what, label, figure string }

var (
	times = []work{
		{"first", "first answer, open included", "time"},
		{"points", "a cold lookup", "p50"},
		{"join", "ten latest posts, cold", "p50"},
		{"scan-part", "cold scan of a twentieth", "time"},
		{"scan-part-again", "the same again", "time"},
		{"scan", "cold scan", "time"},
		{"scan-again", "the same again", "time"},
		{"warm", "a warm lookup", "p50"},
	}
	requests = []work{
		{"first", "first answer, open included", "GETs"},
		{"points", "a cold lookup", "GETs each"},
		{"join", "ten latest posts, cold", "GETs each"},
		{"scan-part", "cold scan of a twentieth", "GETs"},
		{"scan", "cold scan", "GETs"},
	}
)

// charts are two for each database and latency.
func (m *measured) charts() []chart {
	type setting struct {
		db      string
		latency time.Duration
	}
	var all []setting
	for _, r := range m.Median {
		if s := (setting{r.DB, r.Latency}); !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	var charts []chart
	for _, s := range all {
		name := fmt.Sprintf("peers-%s-%s", s.db, s.latency)
		where := fmt.Sprintf("database %s, %s a request; %s/%s, %d cores, %s, %s", s.db, s.latency,
			m.Before.OS, m.Before.Arch, m.Before.Cores, m.Before.Go, m.Before.Time.UTC().Format(time.DateOnly))
		charts = append(charts,
			chart{file: name + "-time.svg", title: "Milliseconds", subtitle: where, groups: m.groups(s.db, s.latency, times)},
			chart{file: name + "-requests.svg", title: "GET requests", subtitle: where, groups: m.groups(s.db, s.latency, requests)})
	}
	return charts
}

// groups are the bars of one chart. What was not measured has none.
func (m *measured) groups(db string, latency time.Duration, works []work) []group {
	var groups []group
	for _, w := range works {
		g := group{label: w.label}
		for _, p := range peers {
			i := slices.IndexFunc(m.Median, func(r row) bool {
				return r.DB == db && r.Latency == latency && r.Case == "what="+w.what+"/how="+p.how
			})
			if i < 0 {
				continue
			}
			if v, ok := m.Median[i].figure(w.figure); ok && !(strings.HasPrefix(w.figure, "GETs") && v == 0) {
				g.bars = append(g.bars, bar{p.label, p.color, v})
			}
		}
		if len(g.bars) > 0 {
			groups = append(groups, g)
		}
	}
	return groups
}

func (r *row) figure(name string) (float64, bool) {
	for _, f := range r.Figures {
		if f.Name == name {
			return f.Value, true
		}
	}
	return 0, false
}
