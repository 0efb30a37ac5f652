package sqlgen

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// Generator makes up statements for one database. It remembers which tables it has made, and does not know which statements failed.
type Generator struct {
	rng    *rand.Rand
	tables []*table
	made   int
}

// New returns a Generator that makes the same of the same seed.
func New(seed uint64) *Generator { return &Generator{rng: rand.New(rand.NewPCG(seed, 7))} }

// table is one that was made, or tried.
type table struct {
	name    string
	columns []string
	key     string // a column that is unique
	rowid   bool
}

func (g *Generator) pick(of ...string) string { return of[g.rng.IntN(len(of))] }

func (g *Generator) chance(n int) bool { return g.rng.IntN(n) == 0 }

func (g *Generator) table() *table { return g.tables[g.rng.IntN(len(g.tables))] }

func (t *table) any(g *Generator) string { return g.pick(t.columns...) }

// Settings are pragmas for a new database, before anything is in it, and its page size.
func (g *Generator) Settings() (pragmas []string, pageSize int) {
	pageSize = 512 << g.rng.IntN(6)
	return []string{
		fmt.Sprintf("PRAGMA page_size = %d", pageSize),
		"PRAGMA auto_vacuum = " + g.pick("none", "full", "incremental"),
		fmt.Sprintf("PRAGMA cache_size = %d", 1+g.rng.IntN(20)),
		"PRAGMA synchronous = " + g.pick("off", "normal", "full", "extra"),
		"PRAGMA temp_store = " + g.pick("default", "memory"),
		"PRAGMA foreign_keys = " + g.pick("on", "off"),
		"PRAGMA recursive_triggers = " + g.pick("on", "off"),
		"PRAGMA secure_delete = " + g.pick("on", "off", "fast"),
		"PRAGMA cell_size_check = on",
		"PRAGMA encoding = " + g.pick("'UTF-8'", "'UTF-8'", "'UTF-16le'"),
	}, pageSize
}

// Batch is what one caller does in a row: one statement, or some in a transaction that is committed or not.
func (g *Generator) Batch() []string {
	if len(g.tables) == 0 || g.chance(12) {
		return []string{g.define()}
	}
	switch g.rng.IntN(10) {
	case 0:
		return []string{g.tend()}
	case 1, 2, 3:
		return []string{g.change()}
	case 4, 5:
		return []string{g.Query()}
	}
	batch := []string{g.pick("BEGIN", "BEGIN IMMEDIATE", "BEGIN EXCLUSIVE")}
	for range 1 + g.rng.IntN(6) {
		switch g.rng.IntN(8) {
		case 0:
			batch = append(batch, "SAVEPOINT s", g.change(), g.change(), g.pick("ROLLBACK TO s", "RELEASE s", "SELECT 1"))
		case 1:
			batch = append(batch, g.Query())
		case 2:
			batch = append(batch, g.define())
		default:
			batch = append(batch, g.change())
		}
	}
	return append(batch, g.pick("COMMIT", "COMMIT", "COMMIT", "ROLLBACK"))
}

// value is a literal.
func (g *Generator) value() string {
	switch g.rng.IntN(12) {
	case 0:
		return "NULL"
	case 1, 2, 3:
		return fmt.Sprint(g.rng.IntN(40))
	case 4:
		return fmt.Sprint(g.rng.Int64() - g.rng.Int64())
	case 5:
		return fmt.Sprintf("%.3f", g.rng.NormFloat64()*1000)
	case 6:
		return fmt.Sprintf("zeroblob(%d)", g.rng.IntN(9000))
	case 7:
		return fmt.Sprintf("x'%s'", strings.Repeat(fmt.Sprintf("%02x", g.rng.IntN(256)), g.rng.IntN(3000)))
	case 8:
		return "'" + strings.Repeat(g.pick("ä", "word ", "x", "日本"), g.rng.IntN(400)) + "'"
	}
	return fmt.Sprintf("'%s %d'", g.pick("one", "Two", "three", "ONE"), g.rng.IntN(50))
}

// small is a literal for a key.
func (g *Generator) small() string { return fmt.Sprint(g.rng.IntN(80)) }

func (g *Generator) values(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = g.value()
	}
	list[0] = g.small()
	return "(" + strings.Join(list, ", ") + ")"
}

// condition is over the columns of t.
func (g *Generator) condition(t *table) string {
	switch g.rng.IntN(7) {
	case 0:
		return fmt.Sprintf("%s BETWEEN %s AND %s", t.key, g.small(), g.small())
	case 1:
		return fmt.Sprintf("%s IS NOT NULL AND %s > %s", t.any(g), t.any(g), g.value())
	case 2:
		return fmt.Sprintf("%s IN (SELECT %s FROM %s)", t.key, g.table().key, g.table().name)
	case 3:
		return fmt.Sprintf("typeof(%s) = '%s'", t.any(g), g.pick("text", "blob", "integer", "null"))
	case 4:
		return fmt.Sprintf("%s LIKE '%s%%'", t.any(g), g.pick("one", "t", "1"))
	}
	return fmt.Sprintf("%s = %s", t.key, g.small())
}
