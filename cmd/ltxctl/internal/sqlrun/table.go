package sqlrun

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/render"
)

// tableWriter writes a table piece by piece, so that a long answer streams. Its columns are as wide as the first rows need, and widen
// later if they must.
type tableWriter struct {
	w      io.Writer
	screen render.Screen
	opts   Options

	columns []render.Column
	rows    [][]string
	size    int  // bytes in rows
	fitted  bool // the header is out
	total   int
	cut     bool // a cell did not fit
	tables  int
}

// What is kept before the rows are written.
const (
	keptRows  = 500
	keptBytes = 1 << 20
)

func (t *tableWriter) Begin(columns []string) error {
	t.columns = make([]render.Column, len(columns))
	for i, name := range columns {
		t.columns[i].Right = true // until a text comes
		if !t.opts.NoHeader {
			t.columns[i].Name = render.Printable(name)
		}
	}
	t.rows, t.size, t.fitted, t.total = nil, 0, false, 0
	t.tables++
	if t.tables > 1 {
		_, err := io.WriteString(t.w, "\n")
		return err
	}
	return nil
}

func (t *tableWriter) Row(row []Value) error {
	cells := make([]string, len(row))
	for i, v := range row {
		cells[i] = t.cell(v)
		t.size += len(cells[i])
		if v.Kind == Text || v.Kind == Blob {
			t.columns[i].Right = t.columns[i].Right && t.fitted // never changes below a header
		}
	}
	t.rows = append(t.rows, cells)
	t.total++
	if len(t.rows) >= keptRows || t.size >= keptBytes {
		return t.write()
	}
	return nil
}

func (t *tableWriter) cell(v Value) string {
	switch v.Kind {
	case Null:
		return t.screen.Paint(render.Dim, cmp.Or(t.opts.Null, "NULL"))
	case Blob:
		return blob(v.Bytes)
	}
	return render.Printable(v.Text())
}

// blob shows the beginning of a blob, and its size when that is not all.
func blob(b []byte) string {
	const shown = 16
	if len(b) <= shown {
		return fmt.Sprintf("x'%x'", b)
	}
	return fmt.Sprintf("x'%x…' (%s)", b[:shown], render.Bytes(int64(len(b))))
}

// write puts out the rows that are kept. Columns grow where these need more room than those before.
func (t *tableWriter) write() error {
	header := !t.fitted && !t.opts.NoHeader
	limit := 0
	if t.screen.Terminal {
		limit = t.screen.Width
	}
	t.columns, t.fitted = render.Fit(t.columns, t.rows, limit), true
	for _, row := range t.rows {
		t.cut = t.cut || render.Cuts(t.columns, row)
	}
	rows := t.rows
	t.rows, t.size = nil, 0
	if len(rows) == 0 && !header {
		return nil
	}
	return t.screen.Grid(t.w, t.columns, rows, header)
}

func (t *tableWriter) End() error {
	if t.total == 0 {
		for i := range t.columns {
			t.columns[i].Right = false
		}
	}
	if err := t.write(); err != nil {
		return err
	}
	note := "(" + render.Count(t.total, "row")
	if t.cut {
		note += "; some values are cut to fit, --format line or json shows them whole"
	}
	_, err := fmt.Fprintln(t.w, t.screen.Paint(render.Dim, note+")"))
	t.cut = false
	return err
}

func (t *tableWriter) Abort() error {
	if t.total == 0 {
		return nil
	}
	return t.write()
}

// lineWriter writes each value on a line of its own, whole.
type lineWriter struct {
	w      io.Writer
	screen render.Screen
	opts   Options

	out   *bufio.Writer
	names []string
	rows  int
}

func (l *lineWriter) Begin(columns []string) error {
	if l.out == nil {
		l.out = bufio.NewWriterSize(l.w, 64<<10)
	}
	l.names = make([]string, len(columns))
	longest := 0
	for i, name := range columns {
		l.names[i] = render.Printable(name)
		longest = max(longest, len([]rune(l.names[i])))
	}
	for i, name := range l.names {
		l.names[i] = strings.Repeat(" ", longest-len([]rune(name))) + name
	}
	return nil
}

func (l *lineWriter) Row(row []Value) error {
	if l.rows++; l.rows > 1 {
		l.out.WriteByte('\n')
	}
	for i, v := range row {
		text := v.Text()
		if v.Kind == Null {
			text = cmp.Or(l.opts.Null, "NULL")
		}
		if l.screen.Terminal {
			text = render.Printable(text)
		}
		if !l.opts.NoHeader {
			l.out.WriteString(l.screen.Paint(render.Dim, l.names[i]+" = "))
		}
		l.out.WriteString(text)
		l.out.WriteByte('\n')
	}
	return nil
}

func (l *lineWriter) End() error   { return l.out.Flush() }
func (l *lineWriter) Abort() error { return l.out.Flush() }
