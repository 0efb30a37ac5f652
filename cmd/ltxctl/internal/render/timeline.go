package render

import (
	"fmt"
	"io"
	"math"
	"strings"
	"time"
)

// Timeline draws which transactions the files of each level hold. Every cell of a row is a few transactions; a thin
// white line is where a file ends, so where a moment can be restored:
//
//	L9 ████████▉
//	L1 ████▉███▉███▉███▉
//	L0             █▉▉▉▉▉▉▉
//	   ├───────┼──────────┤
//	   0001    01c0    0300
type Timeline struct {
	Rows        []TimelineRow
	First, Last uint64
	Missing     []Range                     // transactions that no file holds
	Text        func(txid uint64) string    // how a TXID is written below the axis
	Time        func(txid uint64) time.Time // about when it was, or zero
}

// TimelineRow is one level.
type TimelineRow struct {
	Label string
	Paint Paint
	Files []Range // by Min
}

// Range is a range of TXIDs, both ends included.
type Range struct{ Min, Max uint64 }

// eighths are blocks that fill a cell from its left, by eighths of its width.
var eighths = []string{" ", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"}

// gapMark stands where no level has a transaction.
const gapMark = "╳"

const defaultWidth = 80

// Timeline writes a picture of t.
func (s Screen) Timeline(w io.Writer, t Timeline, indent string) error {
	label := 0
	for _, row := range t.Rows {
		label = max(label, width(row.Label))
	}
	limit := s.Width
	if limit <= 0 {
		limit = defaultWidth
	}
	a := axis{first: t.First, count: t.Last - t.First + 1, cells: max(20, limit-label-len(indent)-2)}
	var b strings.Builder
	for _, row := range t.Rows {
		fmt.Fprintf(&b, "%s%-*s %s\n", indent, label, row.Label, s.Paint(row.Paint, strings.TrimRight(a.row(row.Files), " ")))
	}
	if len(t.Missing) > 0 {
		fmt.Fprintf(&b, "%s%-*s %s\n", indent, label, "!", s.Paint(Bad, strings.TrimRight(a.marks(t.Missing), " ")))
	}
	margin := indent + strings.Repeat(" ", label+1)
	for _, line := range a.scale(t) {
		b.WriteString(strings.TrimRight(margin+s.Paint(Dim, line), " ") + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// axis maps TXIDs to cells.
type axis struct {
	first, count uint64
	cells        int
}

// at is where txid begins, in cells from the left.
func (a axis) at(txid uint64) float64 {
	return float64(txid-a.first) / float64(a.count) * float64(a.cells)
}

// cell is what the files of a level leave in one cell.
type cell struct {
	filled     float64 // share of the cell that is covered
	start, end float64 // the part between the first and the last covered bit, from 0 to 1
	ends       bool    // a file ends here
}

func (a axis) row(files []Range) string {
	cells := make([]cell, a.cells)
	for i := range cells {
		cells[i].start = 1
	}
	for _, f := range files {
		a.fill(cells, a.at(f.Min), a.at(f.Max+1))
	}
	var b strings.Builder
	for _, c := range cells {
		b.WriteString(c.String())
	}
	return b.String()
}

// fill covers the cells between two positions.
func (a axis) fill(cells []cell, from, to float64) {
	const hair = 1e-9 // positions are sums of fractions
	for i := int(from + hair); i < len(cells) && float64(i) < to-hair; i++ {
		lo, hi := max(from-float64(i), 0), min(to-float64(i), 1)
		c := &cells[i]
		c.filled += hi - lo
		c.start, c.end = min(c.start, lo), max(c.end, hi)
		c.ends = c.ends || to <= float64(i+1)+hair
	}
}

func (c cell) String() string {
	switch {
	case c.filled == 0:
		return " "
	case c.start >= 0.5:
		return "▐"
	}
	n := int(math.Round(c.end * 8))
	if c.ends {
		n = min(n, 7) // the thin line after a file
	}
	return eighths[max(n, 1)]
}

func (a axis) marks(missing []Range) string {
	row := []rune(strings.Repeat(" ", a.cells))
	for _, m := range missing {
		last := min(int(math.Ceil(a.at(m.Max+1)))-1, a.cells-1)
		for i := int(a.at(m.Min)); i <= last; i++ {
			row[i] = []rune(gapMark)[0]
		}
	}
	return string(row)
}

// scale returns the lines below the rows: ticks, TXIDs, times.
func (a axis) scale(t Timeline) []string {
	line := []rune(strings.Repeat("─", a.cells))
	texts, times := newRuler(a.cells), newRuler(a.cells)
	const room = 20 // cells between two ticks
	ticks := max(1, min(a.cells/room, int(min(a.count-1, math.MaxInt32))))
	day := t.severalDays()
	for i := range ticks + 1 {
		x := i * (a.cells - 1) / ticks
		txid := t.First + uint64(math.Round(float64(i)/float64(ticks)*float64(a.count-1)))
		mark := '┼'
		switch i {
		case 0:
			mark = '├'
		case ticks:
			mark = '┤'
		}
		line[x] = mark
		if i > 0 && a.count == 1 {
			break // it has been named
		}
		texts.put(x, t.Text(txid))
		times.put(x, clock(t.Time(txid), day))
	}
	return []string{string(line), string(texts), string(times)}
}

// severalDays reports whether the times that are known lie on more than one day.
func (t Timeline) severalDays() bool {
	last := t.Time(t.Last).UTC()
	for txid := t.First; txid < t.Last; txid += max(1, (t.Last-t.First)/8) {
		at := t.Time(txid).UTC()
		if !at.IsZero() && at.Format(time.DateOnly) != last.Format(time.DateOnly) {
			return true
		}
	}
	return false
}

func clock(t time.Time, day bool) string {
	switch {
	case t.IsZero():
		return ""
	case day:
		return t.UTC().Format("01-02 15:04")
	}
	return t.UTC().Format("15:04:05")
}

// ruler is a line of labels below ticks.
type ruler []rune

func newRuler(cells int) ruler { return ruler(strings.Repeat(" ", cells)) }

// put centres text below cell x, moved to stay inside; it is left out where it would touch another one.
func (r ruler) put(x int, text string) {
	n := len([]rune(text))
	from := max(0, min(x-n/2, len(r)-n))
	if n == 0 || n > len(r) {
		return
	}
	for i := max(0, from-1); i < min(len(r), from+n+1); i++ {
		if r[i] != ' ' {
			return
		}
	}
	copy(r[from:], []rune(text))
}
