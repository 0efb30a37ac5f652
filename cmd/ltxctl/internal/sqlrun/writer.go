package sqlrun

import (
	"fmt"
	"io"

	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/render"
	"github.com/litefs-s3/litefs-s3/internal/nearest"
)

// Writer takes the rows of one statement after another.
type Writer interface {
	// Begin is called once for each statement that has columns.
	Begin(columns []string) error
	// Row takes a row; it must not keep it.
	Row(row []Value) error
	// End is called after the last row.
	End() error
	// Abort is called instead when the statement fails: what it gave so far is to be written.
	Abort() error
}

// Options say how rows are written.
type Options struct {
	Format   string // one of Formats; empty is table on a terminal and csv elsewhere
	NoHeader bool   // without the names of the columns
	Null     string // what NULL becomes in a table (where empty is "NULL") and in csv
}

// Formats are the ways to write rows.
var Formats = []string{"table", "csv", "json", "line"}

// CheckFormat returns an error for an unknown format.
func CheckFormat(name string) error {
	for _, f := range Formats {
		if f == name {
			return nil
		}
	}
	return fmt.Errorf("unknown format %q%s", name, nearest.Hint(name, Formats))
}

// NewWriter returns a Writer on w.
func NewWriter(w io.Writer, screen render.Screen, o Options) Writer {
	format := o.Format
	if format == "" {
		format = "csv"
		if screen.Terminal {
			format = "table"
		}
	}
	switch format {
	case "table":
		return &tableWriter{w: w, screen: screen, opts: o}
	case "json":
		return newJSON(w)
	case "line":
		return &lineWriter{w: w, screen: screen, opts: o}
	}
	return newCSV(w, o)
}
