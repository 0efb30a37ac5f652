package diagnose

import (
	"context"
	"fmt"

	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/inspect"
	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/render"
	"github.com/litefs-s3/litefs-s3/objstore"
)

// chain looks for holes in the history.
func (d *Doctor) chain(ctx context.Context) (string, error) {
	now := d.Now()
	s, err := inspect.Replica(ctx, d.store, objstore.NewMetrics(d.store), now)
	if err != nil {
		return "", advise(err, "have the writer make a snapshot: stop Litestream, and start it again")
	}
	for _, n := range s.Notes {
		switch n.Severity {
		case inspect.Damaged:
			return "", advise(n.Err, `"ltxctl info REPLICA" draws what is missing; restart Litestream for a new snapshot`)
		case inspect.Warning:
			return "", &warning{n.Text, `"ltxctl info REPLICA" shows more`}
		}
	}
	return fmt.Sprintf("no gaps; newest transaction %s, opened from %s", render.Screen{Now: now}.Age(s.Head.Time),
		render.Count(len(s.Opening.Files), "file")), nil
}

// openDatabase reads page 1 and the schema through SQLite.
func (d *Doctor) openDatabase(ctx context.Context) (string, error) {
	const sql = `SELECT (SELECT page_size FROM pragma_page_size) || ' bytes, ' || (SELECT page_count FROM pragma_page_count) || ' pages, ' ||
		(SELECT count(*) || iif(count(*) = 1, ' table', ' tables') FROM sqlite_schema WHERE type = 'table')`
	rows, err := d.Query(ctx, sql)
	if err != nil {
		return "", advise(err, `an earlier moment may open: ltxctl query REPLICA "SELECT 1" --time "1 hour ago"`)
	}
	return "SQLite reads it: pages of " + rows[0], nil
}
