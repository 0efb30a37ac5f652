package sqlrun

import (
	"bufio"
	"io"
	"strings"
)

// csvWriter writes RFC 4180 with plain line ends. NULL is empty and without quotes and an empty text is "", as
// PostgreSQL and the sqlite3 shell have it, which encoding/csv cannot say. A blob is x'…'.
type csvWriter struct {
	w    *bufio.Writer
	to   io.Writer // below w
	opts Options
	rows int // of the statement
}

func newCSV(w io.Writer, o Options) *csvWriter {
	return &csvWriter{w: bufio.NewWriterSize(w, 64<<10), to: w, opts: o}
}

func (c *csvWriter) Begin(columns []string) error {
	c.rows = 0
	if c.opts.NoHeader {
		return nil
	}
	for i, name := range columns {
		c.field(i, name)
	}
	return c.w.WriteByte('\n')
}

func (c *csvWriter) Row(row []Value) error {
	c.rows++
	for i, v := range row {
		if v.Kind == Null {
			if i > 0 {
				c.w.WriteByte(',')
			}
			c.w.WriteString(c.opts.Null)
			continue
		}
		c.field(i, v.Text())
	}
	return c.w.WriteByte('\n') // errors of the writes before stick to it
}

func (c *csvWriter) field(i int, text string) {
	if i > 0 {
		c.w.WriteByte(',')
	}
	if text != "" && !strings.ContainsAny(text, "\",\r\n") && text[0] != ' ' && text[len(text)-1] != ' ' && text != c.opts.Null {
		c.w.WriteString(text)
		return
	}
	c.w.WriteByte('"')
	c.w.WriteString(strings.ReplaceAll(text, `"`, `""`))
	c.w.WriteByte('"')
}

func (c *csvWriter) End() error { return c.w.Flush() }

// Abort leaves out a header that no row follows.
func (c *csvWriter) Abort() error {
	if c.rows == 0 {
		c.w.Reset(c.to)
		return nil
	}
	return c.w.Flush()
}
