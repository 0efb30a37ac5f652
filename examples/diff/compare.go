package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/ncruces/go-sqlite3"
)

// change is one row that is not what it was. Rows are written as JSON; a row that is not there is null.
type change struct {
	Kind, Key, Before, After string
}

// columns are those of a table, quoted for SQL.
type columns struct {
	key []string // primary key; rowid when there is none
	all []string
}

// compare returns the rows of a table that differ, in the order of their keys.
func compare(ctx context.Context, a *attached, table string) ([]change, error) {
	c, err := readColumns(ctx, a, table)
	if err != nil {
		return nil, err
	}
	rows, err := a.QueryContext(ctx, c.query(table))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var changes []change
	for rows.Next() {
		var ch change
		if err := rows.Scan(&ch.Kind, &ch.Key, &ch.Before, &ch.After); err != nil {
			return nil, err
		}
		changes = append(changes, ch)
	}
	return changes, rows.Err()
}

// readColumns looks at the later of the two moments. A table whose columns have changed since is not compared.
func readColumns(ctx context.Context, a *attached, table string) (c columns, err error) {
	rows, err := a.QueryContext(ctx, `
		SELECT name, a.pk, b.name IS NOT NULL FROM pragma_table_info(?1, 'after') a LEFT JOIN pragma_table_info(?1, 'before') b USING (name)`, table)
	if err != nil {
		return c, err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var key int
		var old bool
		if err := rows.Scan(&name, &key, &old); err != nil {
			return c, err
		}
		if !old {
			return c, fmt.Errorf("column %s is new, or the table is", name)
		}
		name = sqlite3.QuoteIdentifier(name)
		if c.all = append(c.all, name); key > 0 {
			c.key = append(c.key, name)
		}
	}
	if len(c.all) == 0 {
		return c, fmt.Errorf("no such table at the later moment")
	}
	if c.key == nil {
		c.key = []string{"rowid"}
	}
	return c, rows.Err()
}

// query is a full join of both moments by key, of which rows that are the same are left out.
func (c columns) query(table string) string {
	name := sqlite3.QuoteIdentifier(table)
	var same, differs []string
	for _, col := range c.key {
		same = append(same, "b."+col+" IS a."+col)
	}
	for _, col := range c.all {
		differs = append(differs, "b."+col+" IS NOT a."+col)
	}
	there, was := "a."+c.key[0]+" IS NOT NULL", "b."+c.key[0]+" IS NOT NULL"
	return "SELECT CASE WHEN NOT (" + was + ") THEN 'added' WHEN NOT (" + there + ") THEN 'removed' ELSE 'changed' END," +
		" CASE WHEN " + there + " THEN " + c.json("a", c.key) + " ELSE " + c.json("b", c.key) + " END," +
		" iif(" + was + ", " + c.json("b", c.all) + ", 'null'), iif(" + there + ", " + c.json("a", c.all) + ", 'null')" +
		" FROM before." + name + " b FULL JOIN after." + name + " a ON " + strings.Join(same, " AND ") +
		" WHERE " + strings.Join(differs, " OR ") + " ORDER BY 2"
}

// json is an expression for some columns of one side. A blob becomes its hexadecimal digits, for JSON has none.
func (columns) json(side string, cols []string) string {
	var values []string
	for _, col := range cols {
		values = append(values, fmt.Sprintf("iif(typeof(%s.%s) = 'blob', hex(%[1]s.%[2]s), %[1]s.%[2]s)", side, col))
	}
	return "json_array(" + strings.Join(values, ", ") + ")"
}
