package sqlgen

import (
	"fmt"
	"strings"
)

// define changes the schema.
func (g *Generator) define() string {
	if len(g.tables) < 2 || len(g.tables) < 6 && g.chance(3) {
		return g.createTable()
	}
	t := g.table()
	g.made++
	switch g.rng.IntN(10) {
	case 0, 1:
		return fmt.Sprintf("CREATE %s INDEX IF NOT EXISTS i%d ON %s(%s %s, %s)%s", g.pick("", "", "UNIQUE"), g.made%8, t.name, t.any(g),
			g.pick("", "DESC", "COLLATE NOCASE"), g.pick("length("+t.any(g)+")", t.any(g)), g.pick("", "", " WHERE "+t.key+" > 10"))
	case 2:
		return fmt.Sprintf("DROP INDEX IF EXISTS i%d", g.rng.IntN(8))
	case 3:
		other := g.table()
		return fmt.Sprintf("CREATE TRIGGER IF NOT EXISTS g%d %s %s ON %s BEGIN INSERT OR %s INTO %s(%s) VALUES (%s + 1); END", g.made%4,
			g.pick("AFTER", "BEFORE"), g.pick("INSERT", "UPDATE", "DELETE"), t.name, g.pick("IGNORE", "REPLACE"), other.name, other.key, g.small())
	case 4:
		return fmt.Sprintf("DROP TRIGGER IF EXISTS g%d", g.rng.IntN(4))
	case 5:
		return fmt.Sprintf("CREATE VIEW IF NOT EXISTS v%d AS SELECT %s AS a, count(*) AS n FROM %s GROUP BY 1", g.made%4, t.any(g), t.name)
	case 6:
		name := fmt.Sprintf("added%d", g.made)
		t.columns = append(t.columns, name)
		return fmt.Sprintf("ALTER TABLE %s ADD COLUMN %s %s", t.name, name, g.pick("", "TEXT DEFAULT 'new'", "INTEGER NOT NULL DEFAULT 3"))
	case 7:
		i := g.rng.IntN(len(t.columns))
		if t.columns[i] == t.key || len(t.columns) < 3 {
			return "REINDEX"
		}
		name := t.columns[i]
		t.columns = append(t.columns[:i:i], t.columns[i+1:]...)
		return fmt.Sprintf("ALTER TABLE %s DROP COLUMN %s", t.name, name)
	case 8:
		if len(g.tables) < 4 {
			return "ANALYZE"
		}
		i := g.rng.IntN(len(g.tables))
		name := g.tables[i].name
		g.tables = append(g.tables[:i:i], g.tables[i+1:]...)
		return "DROP TABLE IF EXISTS " + name
	}
	return g.createTable()
}

func (g *Generator) createTable() string {
	g.made++
	t := &table{name: fmt.Sprintf("t%d", g.made), rowid: true}
	g.tables = append(g.tables, t)
	t.key = "k"
	defs := []string{"k " + g.pick("INTEGER PRIMARY KEY", "INTEGER PRIMARY KEY AUTOINCREMENT", "INT PRIMARY KEY", "TEXT PRIMARY KEY COLLATE NOCASE", "ANY UNIQUE")}
	t.columns = []string{"k"}
	for i := range 1 + g.rng.IntN(5) {
		name := fmt.Sprintf("c%d", i)
		t.columns = append(t.columns, name)
		defs = append(defs, name+" "+g.pick("", "TEXT", "INTEGER", "BLOB", "REAL", "NUMERIC UNIQUE", "TEXT NOT NULL DEFAULT 'none'", "INT CHECK ("+name+" <> 13)"))
	}
	if g.chance(5) {
		defs = append(defs, "made AS (k || 'x') "+g.pick("STORED", "VIRTUAL"))
	}
	if len(g.tables) > 1 && g.chance(5) {
		defs = append(defs, fmt.Sprintf("FOREIGN KEY (c0) REFERENCES %s(%s) ON DELETE %s", g.tables[0].name, g.tables[0].key, g.pick("CASCADE", "SET NULL", "RESTRICT")))
	}
	options := ""
	if strings.Contains(defs[0], "PRIMARY KEY") && !strings.Contains(defs[0], "AUTOINCREMENT") && g.chance(3) {
		options, t.rowid = " WITHOUT ROWID", false
	}
	return fmt.Sprintf("CREATE TABLE %s(%s)%s", t.name, strings.Join(defs, ", "), options)
}

// tend is what administrators do.
func (g *Generator) tend() string {
	return g.pick("VACUUM", "REINDEX", "ANALYZE", "PRAGMA incremental_vacuum", "PRAGMA incremental_vacuum(2)", "PRAGMA integrity_check", "PRAGMA foreign_key_check",
		fmt.Sprintf("PRAGMA user_version = %d", g.rng.IntN(100)), fmt.Sprintf("PRAGMA application_id = %d", g.rng.IntN(100)), "PRAGMA optimize", "PRAGMA page_count",
		"PRAGMA freelist_count", "PRAGMA wal_checkpoint", fmt.Sprintf("PRAGMA cache_size = %d", 1+g.rng.IntN(30)), "PRAGMA shrink_memory")
}
