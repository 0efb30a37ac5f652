package render

import (
	"io"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// Column is one column of a table.
type Column struct {
	Name  string
	Right bool // numbers end at the right
	Width int  // at least, in characters; Fit sets it
}

// gap parts two columns.
const gap = "  "

// narrowest is the width below which a column is not cut to make the others fit.
const narrowest = 8

// Table writes a whole table, as wide as its cells are and the screen is.
func (s Screen) Table(w io.Writer, columns []Column, rows [][]string) error {
	return s.Grid(w, Fit(columns, rows, s.Width), rows, true)
}

// Fit returns the columns with the width that the rows need, and not less than they have; when limit is above 0, the widest
// ones are narrowed until all fit into so many characters, or nothing more can be done.
func Fit(columns []Column, rows [][]string, limit int) []Column {
	fitted := make([]Column, len(columns))
	total := len(gap) * (len(columns) - 1)
	for i, c := range columns {
		c.Width = max(1, c.Width, width(c.Name))
		for _, row := range rows {
			c.Width = max(c.Width, width(row[i]))
		}
		fitted[i] = c
		total += c.Width
	}
	for limit > 0 && total > limit {
		widest := 0
		for i := range fitted {
			if fitted[i].Width > fitted[widest].Width {
				widest = i
			}
		}
		if fitted[widest].Width <= narrowest {
			break
		}
		fitted[widest].Width--
		total--
	}
	return fitted
}

func width(cell string) int { return text.StringWidthWithoutEscSequences(cell) }

// Cuts reports whether a row has a cell that is wider than its column.
func Cuts(columns []Column, row []string) bool {
	for i, c := range columns {
		if width(row[i]) > c.Width {
			return true
		}
	}
	return false
}

// Grid writes rows under columns of a fixed width, so that a long table can be written piece by piece; what is too wide ends in ….
func (s Screen) Grid(w io.Writer, columns []Column, rows [][]string, header bool) error {
	t := table.NewWriter()
	t.SetStyle(s.style())
	t.SuppressTrailingSpaces()
	configs := make([]table.ColumnConfig, len(columns))
	head := make(table.Row, len(columns))
	for i, c := range columns {
		configs[i] = table.ColumnConfig{Number: i + 1, WidthMin: c.Width, WidthMax: c.Width, WidthMaxEnforcer: cut}
		if c.Right {
			configs[i].Align, configs[i].AlignHeader = text.AlignRight, text.AlignRight
		}
		head[i] = c.Name
	}
	t.SetColumnConfigs(configs)
	if header {
		t.AppendHeader(head)
	}
	for _, row := range rows {
		cells := make(table.Row, len(row))
		for i, cell := range row {
			cells[i] = cell
		}
		t.AppendRow(cells)
	}
	out := t.Render()
	if header {
		out = s.paintHeader(out)
	}
	_, err := io.WriteString(w, out+"\n")
	return err
}

// cut is a table.WidthEnforcer.
func cut(cell string, most int) string {
	if width(cell) <= most {
		return cell
	}
	return text.Snip(cell, most, "…")
}

func (s Screen) style() table.Style {
	style := table.StyleLight
	style.Format.Header = text.FormatDefault // names of columns are shown as they are
	style.Options = table.Options{SeparateHeader: true, SeparateColumns: true, DoNotRenderSeparatorWhenEmpty: false}
	style.Box.PaddingLeft, style.Box.PaddingRight = "", ""
	style.Box.MiddleVertical, style.Box.MiddleSeparator = gap, gap
	return style
}

// paintHeader dims the names of the columns and the line below them.
func (s Screen) paintHeader(out string) string {
	lines := strings.SplitN(out, "\n", 3)
	for i := range min(2, len(lines)) {
		lines[i] = s.Paint(Dim, lines[i])
	}
	return strings.Join(lines, "\n")
}

// Plain writes rows for programs: a header and then one line each, columns parted by tabs.
func Plain(w io.Writer, columns []string, rows [][]string) error {
	var b strings.Builder
	for _, row := range append([][]string{columns}, rows...) {
		b.WriteString(strings.Join(row, "\t"))
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Columns writes names side by side, sorted downwards, on a terminal, and one a line elsewhere.
func (s Screen) Columns(w io.Writer, names []string) error {
	columns := 1
	longest := 0
	for _, name := range names {
		longest = max(longest, width(name)+len(gap))
	}
	if s.Terminal && longest > 0 {
		columns = max(1, s.Width/longest)
	}
	lines := (len(names) + columns - 1) / columns
	var b strings.Builder
	for line := range lines {
		var cells strings.Builder
		for i := line; i < len(names); i += lines {
			cells.WriteString(text.Pad(names[i], longest, ' '))
		}
		b.WriteString(strings.TrimRight(cells.String(), " ") + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
