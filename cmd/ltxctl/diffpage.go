package main

import (
	"fmt"
	"strings"

	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/render"
	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/rowdiff"
	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/sqlrun"
)

// text is the report for people: one line a row, + for added, - for removed, ~ for changed.
func (r *diffReport) text(screen render.Screen, limit int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", screen.Paint(render.Bold, r.Replica))
	fmt.Fprintf(&b, "  from txid %s of %s\n  to   txid %s of %s\n", r.From.TXID, r.From.Time, r.To.TXID, r.To.Time)
	fmt.Fprintf(&b, "  %s\n", screen.Paint(render.Dim, r.read()))
	for _, list := range []struct {
		mark    string
		paint   render.Paint
		objects []rowdiff.Object
	}{{"+", render.Good, r.Schema.Added}, {"-", render.Bad, r.Schema.Removed}, {"~", render.Warning, r.Schema.Changed}} {
		for _, o := range list.objects {
			fmt.Fprintf(&b, "%s\n", screen.Paint(list.paint, list.mark+" "+o.Type+" "+render.Printable(o.Name)))
		}
	}
	for _, t := range r.Tables {
		writeTable(&b, screen, t, limit)
	}
	if len(r.Tables) == 0 && len(r.Schema.Added)+len(r.Schema.Removed)+len(r.Schema.Changed) == 0 {
		b.WriteString("no row differs\n")
	}
	return b.String()
}

// read says what was compared.
func (r *diffReport) read() string {
	text := fmt.Sprintf("%d of %s may differ", r.Pages.Differ, render.Count(r.Pages.Database, "page"))
	compared := render.Count(len(r.Tables)+r.Same, "table")
	switch {
	case !r.Pages.Told:
		return text + "; which tables they belong to cannot be told, so all of " + compared + " was read"
	case len(r.Skipped) > 0:
		return text + "; " + compared + " compared, " + fmt.Sprintf("%d not touched", len(r.Skipped))
	}
	return text + "; " + compared + " compared"
}

func writeTable(b *strings.Builder, screen render.Screen, t *rowdiff.Table, limit int) {
	fmt.Fprintf(b, "\n%s: %d added, %d removed, %d changed\n", screen.Paint(render.Bold, render.Printable(t.Name)), t.Added, t.Removed, t.Changed)
	if t.Note != "" {
		fmt.Fprintf(b, "%s\n", screen.Wrap(t.Note, "  "))
	}
	shown := map[string]int64{}
	for i := range t.Rows {
		row := &t.Rows[i]
		shown[row.Change]++
		fmt.Fprintf(b, "  %s\n", rowText(screen, row))
	}
	more := t.Added + t.Removed + t.Changed - shown["added"] - shown["removed"] - shown["changed"]
	if more > 0 {
		fmt.Fprintf(b, "  %s\n", screen.Paint(render.Dim, fmt.Sprintf("… and %d more; --limit %d shows more of each", more, 10*max(limit, 1))))
	}
}

func rowText(screen render.Screen, row *rowdiff.Row) string {
	switch row.Change {
	case "added":
		return screen.Paint(render.Good, "+ "+cellsText(row.Key)) + values(row.After)
	case "removed":
		return screen.Paint(render.Bad, "- "+cellsText(row.Key)) + values(row.Before)
	}
	text := screen.Paint(render.Warning, "~ "+cellsText(row.Key))
	for i, cell := range row.Before {
		text += fmt.Sprintf("  %s: %s → %s", render.Printable(cell.Column), literal(cell.Value), literal(row.After[i].Value))
	}
	return text
}

func values(cells rowdiff.Cells) string {
	if len(cells) == 0 {
		return ""
	}
	return "  " + cellsText(cells)
}

func cellsText(cells rowdiff.Cells) string {
	parts := make([]string, len(cells))
	for i, cell := range cells {
		parts[i] = render.Printable(cell.Column) + "=" + literal(cell.Value)
	}
	return strings.Join(parts, " ")
}

// longest is how many characters of a value are shown.
const longest = 40

// literal is a value as SQL writes it, shortened.
func literal(v sqlrun.Value) string {
	switch v.Kind {
	case sqlrun.Null:
		return "NULL"
	case sqlrun.Blob:
		if len(v.Bytes) > longest/2 {
			return fmt.Sprintf("blob of %s", render.Bytes(int64(len(v.Bytes))))
		}
		return v.Text()
	case sqlrun.Text:
		text := []rune(render.Printable(string(v.Bytes[:min(len(v.Bytes), 4*longest)])))
		if len(text) > longest {
			return "'" + string(text[:longest]) + "…'"
		}
		return "'" + strings.ReplaceAll(string(text), "'", "''") + "'"
	}
	return v.Text()
}
