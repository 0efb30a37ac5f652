package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"
)

// figure is one number that was measured.
type figure struct {
	Name  string  `json:"name"` // what the column says
	Unit  unit    `json:"unit"`
	Value float64 `json:"value"`
}

// unit is what a figure counts. It decides how the figure is written.
type unit string

const (
	count    unit = "count"
	millis   unit = "ms"
	byteSize unit = "bytes"
	rate     unit = "MB/s" // 1e6 bytes
	each     unit = "per"  // so many for one of something else
	perSec   unit = "op/s"
	share    unit = "ratio" // 1 is as much
)

// row is what was measured of one case.
type row struct {
	Measure string        `json:"measure"`
	DB      string        `json:"db,omitempty"`
	Latency time.Duration `json:"latency"`
	Case    string        `json:"case,omitempty"` // key=value, for benchstat to pivot on
	Figures []figure      `json:"figures"`
}

// rowID tells cases apart. Runs of one case have the same.
type rowID struct {
	measure, db string
	latency     time.Duration
	name        string
}

func (r *row) id() rowID { return rowID{r.Measure, r.DB, r.Latency, r.Case} }

// figure returns a figure by name.
func (r *row) figure(name string) (float64, bool) {
	for _, f := range r.Figures {
		if f.Name == name {
			return f.Value, true
		}
	}
	return 0, false
}

// medians returns one row for each case, in the order in which cases first came, with the median of each figure.
func medians(rows []row) []row {
	var out []row
	for i, r := range rows {
		if slices.ContainsFunc(rows[:i], func(o row) bool { return o.id() == r.id() }) {
			continue
		}
		m := r
		m.Figures = slices.Clone(r.Figures)
		for j := range m.Figures {
			var values []float64
			for k := range rows {
				if v, ok := rows[k].figure(m.Figures[j].Name); ok && rows[k].id() == r.id() {
					values = append(values, v)
				}
			}
			m.Figures[j].Value = median(values)
		}
		out = append(out, m)
	}
	return out
}

// median is the middle of values, the lower one of two. It sorts them.
func median[T cmp.Ordered](values []T) T {
	return quantile(values, 0.5)
}

// quantile is the value that the share q of all values does not exceed. It sorts them.
func quantile[T cmp.Ordered](values []T, q float64) T {
	if len(values) == 0 {
		var none T
		return none
	}
	slices.Sort(values)
	return values[min(int(math.Ceil(q*float64(len(values)))), len(values))-min(1, len(values))]
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// mbps is the rate of n bytes in d.
func mbps(n int64, d time.Duration) float64 { return float64(n) / 1e6 / max(d.Seconds(), 1e-9) }

// timed are the figures of many times the same: the median and the 99th percentile of how long one took.
func timed(times []time.Duration) []figure {
	return []figure{{"p50", millis, ms(quantile(times, 0.5))}, {"p99", millis, ms(quantile(times, 0.99))}}
}

// String writes the value as its unit wants it.
func (f figure) String() string {
	switch f.Unit {
	case count:
		return fmt.Sprintf("%.0f", f.Value)
	case byteSize:
		return formatBytes(f.Value)
	case perSec:
		return fmt.Sprintf("%.0f", f.Value)
	case share:
		return fmt.Sprintf("%.0f %%", 100*f.Value)
	}
	switch v := math.Abs(f.Value); {
	case v >= 1000:
		return fmt.Sprintf("%.0f", f.Value)
	case v >= 10:
		return fmt.Sprintf("%.1f", f.Value)
	}
	return fmt.Sprintf("%.2f", f.Value)
}

// formatBytes writes bytes in powers of 1000, as rates are counted.
func formatBytes(n float64) string {
	for _, s := range []struct {
		size float64
		name string
	}{{1e9, "GB"}, {1e6, "MB"}, {1e3, "kB"}} {
		if math.Abs(n) >= s.size {
			return fmt.Sprintf("%.3g %s", n/s.size, s.name)
		}
	}
	return fmt.Sprintf("%.0f B", n)
}
