package guard

import "github.com/ncruces/go-sqlite3"

// Limits bound what a statement may ask for. The zero value is fit for a server; fields say what zero means, and none can be
// turned off.
type Limits struct {
	// Memory is what SQLite may have for one connection, in bytes. Zero means 256 MiB, or 32 MiB in 32-bit programs.
	Memory int64
	// Length is the longest string, blob or row, in bytes. SQLite holds a value more than once. Zero means 3/16 of Memory: 48 MiB.
	Length int
	// SQL is the longest statement, in bytes. Zero means 1 MiB.
	SQL int
	// Columns bounds the columns of a result, Compound the SELECTs of a UNION, Depth the nesting of expressions, and Args the arguments
	// of a function. Zero means 200, 50, 200 and 100.
	Columns, Compound, Depth, Args int
	// Program is the most instructions that a statement may compile to. Zero means 250,000.
	Program int
	// Pattern is the longest pattern of LIKE and GLOB, in bytes; their time grows with each % in it. Zero means 500.
	Pattern int
	// Attached is how many databases may be attached. Zero means none.
	Attached int
}

func (l Limits) withDefaults() Limits {
	l.Memory = or(l.Memory, defaultMemory)
	l.Length = or(l.Length, int(l.Memory/16*3))
	l.SQL = or(l.SQL, 1<<20)
	l.Columns = or(l.Columns, 200)
	l.Compound = or(l.Compound, 50)
	l.Depth = or(l.Depth, 200)
	l.Args = or(l.Args, 100)
	l.Program = or(l.Program, 250_000)
	l.Pattern = or(l.Pattern, 500)
	return l
}

// defaultMemory is the driver's: 256 MiB where pointers have 64 bits, else 32 MiB.
const defaultMemory = 256 << 20 >> (3 * (1 - ^uint(0)>>63))

func or[T int | int64](value, otherwise T) T {
	if value == 0 {
		return otherwise
	}
	return value
}

// Apply sets the limits of a connection, all but Memory, which is set when it is opened. It fits into the function that
// driver.Open calls for each new connection.
func (l Limits) Apply(conn *sqlite3.Conn) {
	l = l.withDefaults()
	for category, value := range map[sqlite3.LimitCategory]int{
		sqlite3.LIMIT_LENGTH:              l.Length,
		sqlite3.LIMIT_SQL_LENGTH:          l.SQL,
		sqlite3.LIMIT_COLUMN:              l.Columns,
		sqlite3.LIMIT_COMPOUND_SELECT:     l.Compound,
		sqlite3.LIMIT_EXPR_DEPTH:          l.Depth,
		sqlite3.LIMIT_FUNCTION_ARG:        l.Args,
		sqlite3.LIMIT_VDBE_OP:             l.Program,
		sqlite3.LIMIT_LIKE_PATTERN_LENGTH: l.Pattern,
		sqlite3.LIMIT_ATTACHED:            l.Attached,
	} {
		conn.Limit(category, value)
	}
}
