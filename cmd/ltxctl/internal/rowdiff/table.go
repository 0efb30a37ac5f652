package rowdiff

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/sqlrun"
)

// Table is how a table differs.
type Table struct {
	Name    string   `json:"table"`
	Key     []string `json:"key,omitempty"` // columns by which rows were matched
	Added   int64    `json:"added"`
	Removed int64    `json:"removed"`
	Changed int64    `json:"changed"`
	Rows    []Row    `json:"rows"`           // the first so many of each kind
	Note    string   `json:"note,omitempty"` // why rows were not compared, or not all of each
}

// Same reports whether no row differs.
func (t *Table) Same() bool { return t.Added+t.Removed+t.Changed == 0 && t.Note == "" }

// Row is one that differs.
type Row struct {
	Change string `json:"change"` // "added", "removed" or "changed"
	Key    Cells  `json:"key"`
	Before Cells  `json:"before,omitempty"` // of a changed row only the columns that differ, key left out
	After  Cells  `json:"after,omitempty"`
}

// Cell is the value of a column.
type Cell struct {
	Column string
	Value  sqlrun.Value
}

// Cells are some columns of a row. In JSON they are an object.
type Cells []Cell

// MarshalJSON keeps the order of the columns.
func (c Cells) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	for i, cell := range c {
		b.WriteByte("{,"[min(i, 1)])
		name, err := json.Marshal(cell.Column)
		if err != nil {
			return nil, err
		}
		value, err := cell.Value.MarshalJSON()
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(value)
	}
	if len(c) == 0 {
		b.WriteByte('{')
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// match is how rows of a table are matched and compared.
type match struct {
	*Diff
	table  string
	key    []string // columns, or a name of the rowid
	values []string // the other columns of both moments
}

// Table compares the rows of a table.
func (d *Diff) Table(ctx context.Context, p Pair) (*Table, error) {
	t := &Table{Name: p.Name, Rows: []Row{}}
	if p.Virtual {
		t.Note = "a virtual table: its content lies in tables of its own"
		return t, nil
	}
	m, note, err := d.match(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("table %s: %w", p.Name, err)
	}
	if t.Note = note; m == nil {
		return t, nil
	}
	t.Key = m.key
	for _, find := range []struct {
		change string
		sql    string
		count  *int64
	}{
		{"removed", m.alone(d.Earlier, d.Later), &t.Removed}, {"added", m.alone(d.Later, d.Earlier), &t.Added}, {"changed", m.changed(), &t.Changed},
	} {
		if find.sql == "" {
			continue
		}
		err := d.rows(ctx, find.sql, func(row []sqlrun.Value) {
			if *find.count++; *find.count <= int64(d.Limit) {
				t.Rows = append(t.Rows, m.row(find.change, row))
			}
		})
		if err != nil {
			return nil, fmt.Errorf("table %s: %w", p.Name, err)
		}
	}
	return t, nil
}

// column is one of a table.
type column struct {
	name    string
	key     int // position in the primary key, from 1; 0 when it is not in it
	notNull bool
	decl    string // declared type
}

func (d *Diff) columns(ctx context.Context, schema, table string) (all []column, err error) {
	sql := fmt.Sprintf(`SELECT name, pk, "notnull", type, hidden FROM pragma_table_xinfo(%s, %s)`, text(table), text(schema))
	err = d.rows(ctx, sql, func(row []sqlrun.Value) {
		const virtualColumn, hiddenColumn = 2, 1
		if hidden := row[4].Int; hidden != virtualColumn && hidden != hiddenColumn { // those are computed from others
			all = append(all, column{row[0].Text(), int(row[1].Int), row[2].Int != 0, row[3].Text()})
		}
	})
	return all, err
}

// match finds out how rows of a table can be matched. It is nil when they cannot, and the note says why.
func (d *Diff) match(ctx context.Context, p Pair) (m *match, note string, err error) {
	before, err := d.columns(ctx, d.Earlier, p.Name)
	if err != nil {
		return nil, "", err
	}
	after, err := d.columns(ctx, d.Later, p.Name)
	if err != nil {
		return nil, "", err
	}
	m = &match{Diff: d, table: p.Name}
	for _, c := range after {
		if slices.ContainsFunc(before, func(b column) bool { return b.name == c.name }) {
			m.values = append(m.values, c.name)
		}
	}
	if len(m.values) < len(before) || len(m.values) < len(after) {
		note = "it has other columns than before: only those of both moments were compared"
	}
	oldKey, newKey := keyOf(before), keyOf(after)
	switch {
	case slices.Equal(oldKey, newKey) && len(newKey) > 0:
		m.key = newKey
		if nullable(after) && p.rowid {
			if err := m.avoidNulls(ctx, before, after); err != nil {
				return nil, "", err
			}
		}
	case len(oldKey)+len(newKey) > 0 && !p.rowid:
		return nil, "its primary key is another one than before: rows cannot be matched", nil
	default:
		m.key = rowidOf(before, after)
	}
	if m.key == nil {
		return nil, "it has columns by all names of the rowid, and no primary key: rows cannot be matched", nil
	}
	m.values = slices.DeleteFunc(m.values, func(name string) bool { return slices.Contains(m.key, name) })
	return m, note, nil
}

// keyOf returns the columns of the primary key.
func keyOf(columns []column) (key []string) {
	for i := 1; ; i++ {
		at := slices.IndexFunc(columns, func(c column) bool { return c.key == i })
		if at < 0 {
			return key
		}
		key = append(key, columns[at].name)
	}
}

// nullable reports whether the primary key of a rowid table may be NULL, which SQLite allows unless it is the rowid itself.
func nullable(columns []column) bool {
	return slices.ContainsFunc(columns, func(c column) bool { return c.key > 0 && !c.notNull && !strings.EqualFold(c.decl, "INTEGER") })
}

// avoidNulls matches by rowid when a row's primary key is NULL: there may be many of those.
func (m *match) avoidNulls(ctx context.Context, before, after []column) error {
	for _, schema := range []string{m.Earlier, m.Later} {
		var tests []string
		for _, name := range m.key {
			tests = append(tests, identifier(name)+" IS NULL")
		}
		found := false
		sql := fmt.Sprintf("SELECT 1 FROM %s.%s WHERE %s LIMIT 1", schema, identifier(m.table), strings.Join(tests, " OR "))
		if err := m.rows(ctx, sql, func([]sqlrun.Value) { found = true }); err != nil {
			return err
		}
		if found {
			m.key = rowidOf(before, after)
			return nil
		}
	}
	return nil
}

// rowidOf returns a name of the rowid that no column has, or nil.
func rowidOf(before, after []column) []string {
	for _, name := range []string{"rowid", "_rowid_", "oid"} {
		taken := func(c column) bool { return strings.EqualFold(c.name, name) }
		if !slices.ContainsFunc(before, taken) && !slices.ContainsFunc(after, taken) {
			return []string{name}
		}
	}
	return nil
}

// row makes a Row of key columns, values, and for a changed row the values before.
func (m *match) row(change string, row []sqlrun.Value) Row {
	r := Row{Change: change, Key: cells(m.key, row)}
	row = row[len(m.key):]
	switch change {
	case "added":
		r.After = cells(m.values, row)
	case "removed":
		r.Before = cells(m.values, row)
	default:
		for i, name := range m.values {
			before, after := row[len(m.values)+i], row[i]
			if !same(before, after) {
				r.Before = append(r.Before, Cell{name, before})
				r.After = append(r.After, Cell{name, after})
			}
		}
	}
	return r
}

func cells(names []string, values []sqlrun.Value) Cells {
	c := make(Cells, len(names))
	for i, name := range names {
		c[i] = Cell{name, values[i]}
	}
	return c
}

// same reports whether two values are to the byte.
func same(a, b sqlrun.Value) bool {
	return a.Kind == b.Kind && a.Int == b.Int && a.Float == b.Float && bytes.Equal(a.Bytes, b.Bytes)
}
