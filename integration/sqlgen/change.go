package sqlgen

import (
	"fmt"
	"strings"
)

// change writes rows, or tries.
func (g *Generator) change() string {
	t := g.table()
	switch g.rng.IntN(9) {
	case 0, 1, 2:
		rows := make([]string, 1+g.rng.IntN(8))
		for i := range rows {
			rows[i] = g.values(1 + len(g.columnsToSet(t)))
		}
		return fmt.Sprintf("%s INTO %s(%s) VALUES %s%s", g.pick("INSERT", "INSERT OR IGNORE", "REPLACE", "INSERT OR ROLLBACK", "INSERT OR FAIL"), t.name,
			strings.Join(append([]string{t.key}, g.columnsToSet(t)...), ", "), strings.Join(rows, ", "), g.pick("", "", " RETURNING *"))
	case 3:
		return fmt.Sprintf("INSERT INTO %s(%s) VALUES (%s) ON CONFLICT DO UPDATE SET %s = %s", t.name, t.key, g.small(), g.settable(t), g.value())
	case 4, 5:
		return fmt.Sprintf("UPDATE %s %s SET %s = %s WHERE %s", g.pick("", "OR IGNORE", "OR REPLACE"), t.name, g.settable(t), g.value(), g.condition(t))
	case 6:
		return fmt.Sprintf("UPDATE %s SET %s = %s + %d WHERE %s", t.name, t.key, t.key, g.rng.IntN(5), g.condition(t)) // may fail in the middle
	case 7:
		return fmt.Sprintf("DELETE FROM %s WHERE %s", t.name, g.condition(t))
	}
	return fmt.Sprintf("WITH RECURSIVE n(i) AS (SELECT %s UNION ALL SELECT i + 1 FROM n LIMIT %d) INSERT OR IGNORE INTO %s(%s, %s) SELECT i, %s FROM n", g.small(),
		1+g.rng.IntN(300), t.name, t.key, g.settable(t), g.value())
}

func (g *Generator) columnsToSet(t *table) []string {
	var columns []string
	for _, c := range t.columns {
		if c != t.key {
			columns = append(columns, c)
		}
	}
	return columns
}

func (g *Generator) settable(t *table) string {
	if columns := g.columnsToSet(t); len(columns) > 0 {
		return g.pick(columns...)
	}
	return t.key
}

// Query reads.
func (g *Generator) Query() string {
	if len(g.tables) == 0 {
		return "SELECT * FROM sqlite_schema"
	}
	t, u := g.table(), g.table()
	switch g.rng.IntN(8) {
	case 0:
		return fmt.Sprintf("SELECT %s, count(*), max(%s), sum(length(%s)) FROM %s GROUP BY 1", t.any(g), t.any(g), t.any(g), t.name)
	case 1:
		return fmt.Sprintf("SELECT a.%s, b.%s FROM %s a %s JOIN %s b ON a.%s = b.%s", t.any(g), u.any(g), t.name, g.pick("", "LEFT", "CROSS"), u.name, t.key, u.key)
	case 2:
		return fmt.Sprintf("SELECT %s, row_number() OVER (PARTITION BY typeof(%s) ORDER BY %s) FROM %s", t.key, t.any(g), t.key, t.name)
	case 3:
		return fmt.Sprintf("SELECT * FROM %s WHERE %s ORDER BY %s %s LIMIT 20", t.name, g.condition(t), t.any(g), g.pick("", "DESC"))
	case 4:
		return fmt.Sprintf("SELECT %s FROM %s %s SELECT %s FROM %s", t.any(g), t.name, g.pick("UNION", "EXCEPT", "INTERSECT"), u.any(g), u.name)
	case 5:
		return fmt.Sprintf("SELECT * FROM v%d", g.rng.IntN(4))
	case 6:
		return "SELECT type, name, tbl_name, rootpage, sql FROM sqlite_schema"
	}
	return "SELECT * FROM " + t.name
}
