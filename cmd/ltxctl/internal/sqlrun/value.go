package sqlrun

import (
	"bytes"
	"encoding/hex"
	"math"
	"strconv"
	"strings"

	"github.com/ncruces/go-sqlite3"
)

// Kind is the storage class of a value.
type Kind byte

// The storage classes of SQLite.
const (
	Null Kind = iota
	Integer
	Real
	Text
	Blob
)

// Value is one value of a row.
type Value struct {
	Kind  Kind
	Int   int64
	Float float64
	Bytes []byte // of a text or a blob, and a number as SQLite writes it
}

func valueOf(stmt *sqlite3.Stmt, i int) Value {
	switch stmt.ColumnType(i) {
	case sqlite3.INTEGER:
		return Value{Kind: Integer, Int: stmt.ColumnInt64(i)}
	case sqlite3.FLOAT:
		return Value{Kind: Real, Float: stmt.ColumnFloat(i), Bytes: bytes.Clone(stmt.ColumnRawText(i))}
	case sqlite3.TEXT:
		return Value{Kind: Text, Bytes: bytes.Clone(stmt.ColumnRawText(i))}
	case sqlite3.BLOB:
		return Value{Kind: Blob, Bytes: bytes.Clone(stmt.ColumnRawBlob(i))}
	}
	return Value{}
}

// ValueFrom is a value that did not come from a statement here: nil, int64, float64, string or []byte.
func ValueFrom(value any) Value {
	switch v := value.(type) {
	case int64:
		return Value{Kind: Integer, Int: v}
	case float64:
		return Value{Kind: Real, Float: v, Bytes: []byte(realText(v))}
	case string:
		return Value{Kind: Text, Bytes: []byte(v)}
	case []byte:
		return Value{Kind: Blob, Bytes: v}
	}
	return Value{}
}

// Go is the reverse of ValueFrom.
func (v Value) Go() any {
	switch v.Kind {
	case Integer:
		return v.Int
	case Real:
		return v.Float
	case Text:
		return string(v.Bytes)
	case Blob:
		return v.Bytes
	}
	return nil
}

// realText writes a real as SQLite does: with 15 digits if that says all, else with 17, and never without a point.
func realText(x float64) string {
	switch {
	case math.IsInf(x, 1):
		return "Inf"
	case math.IsInf(x, -1):
		return "-Inf"
	}
	s := strconv.FormatFloat(x, 'g', 15, 64)
	if back, err := strconv.ParseFloat(s, 64); err != nil || back != x {
		s = strconv.FormatFloat(x, 'g', 17, 64)
	}
	const short = 1e17 // below, large numbers are written without an exponent
	if strings.Contains(s, "e+") && math.Abs(x) < short {
		s = strconv.FormatFloat(x, 'f', -1, 64)
	}
	mantissa, exponent, scientific := strings.Cut(s, "e")
	if !strings.Contains(mantissa, ".") {
		mantissa += ".0"
	}
	if scientific {
		return mantissa + "e" + exponent
	}
	return mantissa
}

// Text is the value as SQLite's own shell writes it; a blob becomes x'…'.
func (v Value) Text() string {
	switch v.Kind {
	case Integer:
		return strconv.FormatInt(v.Int, 10)
	case Real, Text:
		return string(v.Bytes)
	case Blob:
		return "x'" + hex.EncodeToString(v.Bytes) + "'"
	}
	return ""
}

// number writes a real so that it reads back as the same one.
func (v Value) number() string {
	switch {
	case math.IsInf(v.Float, 1):
		return "9.0e+999" // as SQLite's JSON functions do
	case math.IsInf(v.Float, -1):
		return "-9.0e+999"
	}
	s := strconv.FormatFloat(v.Float, 'g', -1, 64)
	if !strings.ContainsAny(s, ".e") {
		s += ".0"
	}
	return s
}

func (v Value) bind(stmt *sqlite3.Stmt, i int) error {
	switch v.Kind {
	case Integer:
		return stmt.BindInt64(i, v.Int)
	case Real:
		return stmt.BindFloat(i, v.Float)
	case Text:
		return stmt.BindRawText(i, v.Bytes)
	}
	return stmt.BindNull(i)
}

// parseValue takes as a number what is written just as a number would be; 007 and 1e3 are text.
func parseValue(raw string) Value {
	if n, err := strconv.ParseInt(raw, 10, 64); err == nil && strconv.FormatInt(n, 10) == raw {
		return Value{Kind: Integer, Int: n}
	}
	if x, err := strconv.ParseFloat(raw, 64); err == nil && strconv.FormatFloat(x, 'f', -1, 64) == raw {
		return Value{Kind: Real, Float: x}
	}
	return Value{Kind: Text, Bytes: []byte(raw)}
}
