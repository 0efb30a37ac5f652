package rowdiff

import (
	"fmt"
	"strings"
)

// identifier quotes a name.
func identifier(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// text quotes a text.
func text(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// column is a column of one side, or its rowid, which quoting would make a text where there is no such column.
func (m *match) column(side, name string) string { return side + "." + identifier(name) }

func (m *match) list(side string, names []string) (columns []string) {
	for _, name := range names {
		columns = append(columns, m.column(side, name))
	}
	return columns
}

// matched is the condition that row a of one side is row b of the other. The keys are never NULL.
func (m *match) matched() string {
	var tests []string
	for _, name := range m.key {
		tests = append(tests, m.column("b", name)+" = "+m.column("a", name))
	}
	return strings.Join(tests, " AND ")
}

// alone selects the rows of one moment that the other lacks.
func (m *match) alone(here, there string) string {
	table := identifier(m.table)
	return fmt.Sprintf("SELECT %s FROM %s.%s AS a WHERE NOT EXISTS (SELECT 1 FROM %s.%s AS b WHERE %s)",
		strings.Join(append(m.list("a", m.key), m.list("a", m.values)...), ", "), here, table, there, table, m.matched())
}

// changed selects the rows of both moments that differ: key, values, and values before. It is empty when there is nothing to differ.
// The rows of the earlier moment are looked up, one by one, in the order of the later one: CROSS JOIN keeps SQLite from turning that round.
func (m *match) changed() string {
	if len(m.values) == 0 {
		return ""
	}
	var tests []string
	for _, name := range m.values {
		a, b := m.column("a", name), m.column("b", name)
		tests = append(tests, fmt.Sprintf("%s IS NOT %s COLLATE BINARY OR typeof(%s) <> typeof(%s)", a, b, a, b))
	}
	columns := append(append(m.list("a", m.key), m.list("a", m.values)...), m.list("b", m.values)...)
	table := identifier(m.table)
	return fmt.Sprintf("SELECT %s FROM %s.%s AS a CROSS JOIN %s.%s AS b WHERE %s AND (%s)",
		strings.Join(columns, ", "), m.Later, table, m.Earlier, table, m.matched(), strings.Join(tests, " OR "))
}
