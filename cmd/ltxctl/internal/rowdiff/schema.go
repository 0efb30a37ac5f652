package rowdiff

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/sqlrun"
)

// Diff compares two databases of one connection.
type Diff struct {
	Conn           *sqlrun.Conn
	Earlier, Later string // names of the schemas
	Limit          int    // rows of each table that are kept; all are counted
}

// Object is something of sqlite_schema.
type Object struct {
	Type  string `json:"type"` // "table", "index", "view" or "trigger"
	Name  string `json:"name"`
	Table string `json:"table"`         // that it is part of; the name itself for tables and views
	SQL   string `json:"sql,omitempty"` // as it is at the later moment, or was last

	root string // page; it moves when a table is made anew
}

// Schema is how two schemas differ.
type Schema struct {
	Added   []Object `json:"added"`
	Removed []Object `json:"removed"`
	Changed []Object `json:"changed"` // defined otherwise
	Both    []Pair   `json:"-"`       // tables of both moments, by name
}

// Only leaves of the schema what belongs to certain tables.
func (s *Schema) Only(tables []string) {
	for _, list := range []*[]Object{&s.Added, &s.Removed, &s.Changed} {
		*list = slices.DeleteFunc(*list, func(o Object) bool { return !slices.Contains(tables, o.Table) })
	}
	s.Both = slices.DeleteFunc(s.Both, func(p Pair) bool { return !slices.Contains(tables, p.Name) })
}

// Pair is a table that is there at both moments.
type Pair struct {
	Name    string
	Virtual bool
	Moved   bool // it begins at another page: its pages tell nothing about its rows
	rowid   bool // rows have a rowid, at both moments
}

// Schema compares the schemas.
func (d *Diff) Schema(ctx context.Context) (*Schema, error) {
	before, err := d.objects(ctx, d.Earlier)
	if err != nil {
		return nil, err
	}
	after, err := d.objects(ctx, d.Later)
	if err != nil {
		return nil, err
	}
	s := &Schema{Added: []Object{}, Removed: []Object{}, Changed: []Object{}}
	for key, old := range before {
		now, ok := after[key]
		switch {
		case !ok:
			s.Removed = append(s.Removed, old)
		case now.SQL != old.SQL:
			s.Changed = append(s.Changed, now)
		}
		if ok && old.Type == "table" {
			pair, err := d.pair(ctx, old, now)
			if err != nil {
				return nil, err
			}
			s.Both = append(s.Both, pair)
		}
	}
	for key, now := range after {
		if _, ok := before[key]; !ok {
			s.Added = append(s.Added, now)
		}
	}
	for _, list := range [][]Object{s.Added, s.Removed, s.Changed} {
		slices.SortFunc(list, func(a, b Object) int { return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Name, b.Name)) })
	}
	slices.SortFunc(s.Both, func(a, b Pair) int { return cmp.Compare(a.Name, b.Name) })
	return s, nil
}

// objects reads sqlite_schema. What SQLite makes for itself is left out.
func (d *Diff) objects(ctx context.Context, schema string) (map[string]Object, error) {
	all := map[string]Object{}
	err := d.rows(ctx, fmt.Sprintf(`SELECT type, name, coalesce(sql, ''), rootpage, tbl_name FROM %s.sqlite_schema WHERE name NOT LIKE 'sqlite\_%%' ESCAPE '\'`, schema),
		func(row []sqlrun.Value) {
			o := Object{Type: row[0].Text(), Name: row[1].Text(), SQL: row[2].Text(), root: row[3].Text(), Table: row[4].Text()}
			all[o.Type+" "+o.Name] = o
		})
	return all, err
}

// pair asks what kind of table it is.
func (d *Diff) pair(ctx context.Context, old, now Object) (Pair, error) {
	p := Pair{Name: now.Name, Moved: old.root != now.root, rowid: true}
	for _, schema := range []string{d.Earlier, d.Later} {
		sql := fmt.Sprintf("SELECT type, wr FROM pragma_table_list(%s) WHERE schema = %s", text(now.Name), text(schema))
		err := d.rows(ctx, sql, func(row []sqlrun.Value) {
			p.Virtual = p.Virtual || row[0].Text() == "virtual"
			p.rowid = p.rowid && row[1].Int == 0
		})
		if err != nil {
			return p, err
		}
	}
	return p, nil
}

// rows runs a query.
func (d *Diff) rows(ctx context.Context, sql string, each func(row []sqlrun.Value)) error {
	return d.Conn.Run(ctx, sql, nil, reader(each))
}

// reader is a sqlrun.Writer that hands on rows.
type reader func(row []sqlrun.Value)

func (r reader) Begin([]string) error { return nil }

func (r reader) Row(row []sqlrun.Value) error {
	r(row)
	return nil
}

func (r reader) End() error { return nil }

func (r reader) Abort() error { return nil }
