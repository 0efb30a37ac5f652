package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/render"
	"github.com/litefs-s3/litefs-s3/compact"
	"github.com/litefs-s3/litefs-s3/index"
)

// work is what is done, or would be, on one level.
type work struct {
	verb     string // "make" or "remove"
	level    int
	files    int
	inputs   int
	bytes    int64
	min, max index.TXID
}

// works adds up what is to be done by level: a day's work is thousands of files.
type works []*work

func (w *works) add(verb string, level, inputs int, bytes int64, from, to index.TXID) {
	i := slices.IndexFunc(*w, func(x *work) bool { return x.verb == verb && x.level == level })
	if i < 0 {
		i = len(*w)
		*w = append(*w, &work{verb: verb, level: level, min: from})
	}
	x := (*w)[i]
	x.files++
	x.inputs += inputs
	x.bytes += bytes
	x.min, x.max = min(x.min, from), max(x.max, to)
}

// table writes them.
func (w works) table(screen render.Screen, size string) string {
	columns := []render.Column{
		{Name: "what"}, {Name: "level"}, {Name: "files", Right: true}, {Name: "from files", Right: true}, {Name: size, Right: true}, {Name: "txids"},
	}
	var highest index.TXID
	for _, x := range w {
		highest = max(highest, x.max)
	}
	digits := txidDigits(highest)
	rows := make([][]string, len(w))
	for i, x := range w {
		from := ""
		if x.inputs > 0 {
			from = strconv.Itoa(x.inputs)
		}
		rows[i] = []string{
			x.verb, screen.Paint(render.OfLevel(x.level), levelName(x.level, screen)), strconv.Itoa(x.files), from, render.Bytes(x.bytes),
			shortTXID(x.min, digits) + " – " + shortTXID(x.max, digits),
		}
	}
	var b strings.Builder
	_ = screen.Narrower(2).Table(&b, columns, rows) // a builder takes everything
	return indented(b.String())
}

// planPage is a plan as people see it.
type planPage struct {
	*compact.Plan
	screen  render.Screen
	replica string
}

func (p *planPage) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s, %s; newest txid %s\n", p.screen.Paint(render.Bold, p.replica), render.Count(p.Files, "file"), render.Bytes(p.Bytes), p.Head)
	notes(&b, p.screen, p.Problems, p.Deferred)
	var w works
	for i := range p.Steps {
		s := &p.Steps[i]
		w.add("make", s.Level, len(s.Inputs), s.Bytes, s.Min, s.Max)
	}
	for i := range p.Delete {
		d := &p.Delete[i]
		w.add("remove", d.Level, 0, d.Bytes, d.Min, d.Max)
	}
	switch {
	case p.Deferred != "":
	case len(w) == 0:
		b.WriteString("  nothing to do\n")
	default:
		b.WriteString("\n" + w.table(p.screen, "at most") + "\n")
		fmt.Fprintf(&b, "  about %s, %s at AWS's prices; %s to read, %s to write\n", requestsOf(p.Cost), money(p.Cost.USD),
			render.Bytes(p.Cost.BytesRead), render.Bytes(p.Cost.BytesWritten))
		b.WriteString("  nothing was done: without --dry-run it is\n")
	}
	return b.String()
}

func requestsOf(c compact.Cost) string {
	return render.Count(c.Gets+c.Puts+c.Lists+c.Deletes, "request")
}

// notes writes what is in the way.
func notes(b *strings.Builder, screen render.Screen, problems []string, deferred string) {
	for _, text := range problems {
		fmt.Fprintf(b, "%s\n", screen.Wrap(screen.Paint(render.Bad, "problem")+": "+render.Printable(text), "  "))
	}
	if deferred != "" {
		fmt.Fprintf(b, "%s\n", screen.Wrap(screen.Paint(render.Warning, "deferred")+": "+deferred, "  "))
	}
}

// reportPage is a report as people see it.
type reportPage struct {
	*compact.Report
	screen  render.Screen
	replica string
}

func (p *reportPage) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", p.screen.Paint(render.Bold, p.replica))
	notes(&b, p.screen, nil, p.Deferred)
	var w works
	for i := range p.Made {
		m := &p.Made[i]
		w.add("made", m.Level, m.Inputs, m.Bytes, m.Min, m.Max)
	}
	for i := range p.Deleted {
		d := &p.Deleted[i]
		w.add("removed", d.Level, 0, d.Bytes, d.Min, d.Max)
	}
	switch {
	case p.Deferred != "":
		return b.String()
	case len(w)+len(p.Skipped) == 0:
		b.WriteString("  nothing was to do\n")
		return b.String()
	case len(w) > 0:
		b.WriteString("\n" + w.table(p.screen, "size") + "\n")
	}
	if n := len(p.Skipped); n > 0 {
		fmt.Fprintf(&b, "  %s waited for others that failed; the next run makes them\n", render.Count(n, "file"))
	}
	fmt.Fprintf(&b, "  %s, %s; %s read, %s written, %s freed; %s\n", requestsOf(p.Cost), money(p.Cost.USD),
		render.Bytes(p.Cost.BytesRead), render.Bytes(p.Cost.BytesWritten), render.Bytes(p.Freed), render.Duration(time.Duration(p.Took)))
	return b.String()
}
