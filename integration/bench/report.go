package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// machine is where the figures are from.
type machine struct {
	OS, Arch, Go string
	Cores        int
	Load         string // average of 1, 5 and 15 minutes
	Time         time.Time
}

func thisMachine() machine {
	return machine{runtime.GOOS, runtime.GOARCH, runtime.Version(), runtime.NumCPU(), loadAverage(), time.Now()}
}

func (m machine) String() string {
	return fmt.Sprintf("%s/%s, %d cores, %s, load average %s, %s",
		m.OS, m.Arch, m.Cores, m.Go, m.Load, m.Time.UTC().Format(time.DateTime))
}

// loadAverage is what Linux says, empty elsewhere.
func loadAverage() string {
	data, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return ""
	}
	fields := strings.Fields(string(data))
	return strings.Join(fields[:min(3, len(fields))], " ")
}

// report is everything that was found.
type report struct {
	Rate      int64         `json:"rate,omitempty"`         // what the store sent at most, in bytes a second; 0 is no limit
	Handshake time.Duration `json:"handshake_ns,omitempty"` // what making a connection took
	Before    machine       `json:"before"`
	After     machine       `json:"after"`
	Rows      []row         `json:"rows"` // of all runs
	Median    []row         `json:"median"`
	Budget    []outcome     `json:"budget"`
}

// outcome is a verdict for programs.
type outcome struct {
	What  string  `json:"what"`
	DB    string  `json:"db,omitempty"`
	Where string  `json:"where"`
	Worst float64 `json:"worst"`
	Limit float64 `json:"limit"`
	Unit  unit    `json:"unit"`
	Met   bool    `json:"met"`
}

func newReport(before machine, p *plan, rows []row) *report {
	r := &report{Rate: p.rate, Handshake: p.handshake, Before: before, After: thisMachine(), Rows: rows, Median: medians(rows)}
	for _, v := range judge(r.Median) {
		r.Budget = append(r.Budget, outcome{v.what, v.db, v.where, v.worst.Value, v.limit, v.worst.Unit, v.met == v.of})
	}
	return r
}

func (r *report) writeJSON(path string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}

// writeTables prints a table for each measurement, and the budgets.
func (r *report) writeTables(w io.Writer) {
	fmt.Fprintf(w, "%s\n", r.Before)
	if r.Rate > 0 {
		fmt.Fprintf(w, "the store sends %s a second at most\n", humanize.Bytes(uint64(r.Rate)))
	}
	if r.Handshake > 0 {
		fmt.Fprintf(w, "a new connection takes %s\n", r.Handshake)
	}
	for _, m := range measures {
		rows := slices.DeleteFunc(slices.Clone(r.Median), func(o row) bool { return o.Measure != m.name })
		if len(rows) > 0 {
			fmt.Fprintf(w, "\n%s: %s\n", m.name, m.about)
			writeTable(w, rows)
		}
	}
	fmt.Fprintf(w, "\nbudgets\n")
	writeBudgets(w, judge(r.Median))
	fmt.Fprintf(w, "\nload average at the end %s\n", r.After.Load)
}

func newTable(w io.Writer) table.Writer {
	t := table.NewWriter()
	t.SetOutputMirror(w)
	style := table.StyleLight
	style.Format.Header = text.FormatDefault
	style.Options.DrawBorder = false
	t.SetStyle(style)
	return t
}

// writeTable prints rows with a column for every figure that one of them has.
func writeTable(w io.Writer, rows []row) {
	t := newTable(w)
	header := table.Row{"db", "latency", "case"}
	columns := columnsOf(rows)
	var configs []table.ColumnConfig
	for i, c := range columns {
		header = append(header, c.title())
		configs = append(configs, table.ColumnConfig{Number: i + 4, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	t.AppendHeader(header)
	t.SetColumnConfigs(configs)
	for i, r := range rows {
		line := table.Row{r.DB, r.Latency, r.Case}
		for _, c := range columns {
			line = append(line, c.cell(&r))
		}
		if i > 0 && (r.DB != rows[i-1].DB || r.Latency != rows[i-1].Latency && strings.HasPrefix(r.Case, "how=")) {
			t.AppendSeparator()
		}
		t.AppendRow(line)
	}
	t.Render()
}

// column is a figure that some rows have; the value is of no meaning.
type column figure

// title is the column's name, and the unit where numbers alone do not show it.
func (c column) title() string {
	switch c.Unit {
	case millis, rate, perSec:
		return c.Name + " " + string(c.Unit)
	}
	return c.Name
}

func (c column) cell(r *row) string {
	for _, f := range r.Figures {
		if f.Name == c.Name {
			return f.String()
		}
	}
	return ""
}

// columnsOf returns the figures of all rows in the order in which they first come.
func columnsOf(rows []row) []column {
	var columns []column
	for _, r := range rows {
		for _, f := range r.Figures {
			if !slices.ContainsFunc(columns, func(c column) bool { return c.Name == f.Name }) {
				columns = append(columns, column(f))
			}
		}
	}
	return columns
}

func writeBudgets(w io.Writer, verdicts []verdict) {
	t := newTable(w)
	t.AppendHeader(table.Row{"figure", "db", "worst", "at", "budget", "met"})
	for _, v := range verdicts {
		sign, met := "≤", "yes"
		if v.least {
			sign = "≥"
		}
		if v.met < v.of {
			met = fmt.Sprintf("NO (%d of %d)", v.met, v.of)
		}
		limit := figure{Unit: v.worst.Unit, Value: v.limit}
		t.AppendRow(table.Row{v.what, v.db, v.worst.String(), v.where, sign + " " + limit.String(), met})
	}
	t.Render()
}

// writeBenchmarks prints every run in the format of Go's benchmarks, for benchstat.
func (r *report) writeBenchmarks(w io.Writer) {
	fmt.Fprintf(w, "goos: %s\ngoarch: %s\npkg: github.com/litefs-s3/litefs-s3/integration/bench\n", r.Before.OS, r.Before.Arch)
	for _, row := range r.Rows {
		name := strings.ToUpper(row.Measure[:1]) + row.Measure[1:]
		if row.DB != "" {
			name += "/db=" + row.DB
		}
		name += fmt.Sprintf("/latency=%s", row.Latency)
		if row.Case != "" {
			name += "/" + row.Case
		}
		fmt.Fprintf(w, "Benchmark%s 1", name)
		for _, f := range row.Figures {
			fmt.Fprintf(w, " %g %s", f.benchValue(), f.benchUnit())
		}
		fmt.Fprintln(w)
	}
}

// benchUnit is the figure's name as a unit without spaces. Times are in ns and those of benchstat's units that it knows how to
// scale.
func (f figure) benchUnit() string {
	name := strings.Map(func(r rune) rune {
		if strings.ContainsRune(" (),", r) {
			return '-'
		}
		return r
	}, f.Name)
	switch f.Unit {
	case millis:
		return name + "-ns"
	case byteSize:
		return name + "-B"
	case rate:
		return name + "-B/s"
	case perSec:
		return name + "-op/s"
	}
	return name
}

func (f figure) benchValue() float64 {
	switch f.Unit {
	case millis, rate:
		return f.Value * 1e6
	}
	return f.Value
}
