package engine

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/ncruces/go-sqlite3"
)

// What a value begins with.
const (
	tagNull = iota
	tagInt32
	tagInt64
	tagFloat
	tagText
	tagBlob
)

// countSize is what the number of rows takes at the front of a batch.
const countSize = 4

func emptyBatch() []byte { return make([]byte, countSize, 4<<10) }

func setCount(batch []byte, n uint32) { binary.LittleEndian.PutUint32(batch, n) }

// appendRow appends the row that a statement is at.
func appendRow(b []byte, stmt *sqlite3.Stmt) []byte {
	for i := range stmt.ColumnCount() {
		b = appendColumn(b, stmt, i)
	}
	return b
}

func appendColumn(b []byte, stmt *sqlite3.Stmt, i int) []byte {
	switch stmt.ColumnType(i) {
	case sqlite3.INTEGER:
		return appendInt(b, stmt.ColumnInt64(i))
	case sqlite3.FLOAT:
		return binary.LittleEndian.AppendUint64(append(b, tagFloat), math.Float64bits(stmt.ColumnFloat(i)))
	case sqlite3.TEXT:
		return appendBytes(append(b, tagText), stmt.ColumnRawText(i))
	case sqlite3.BLOB:
		return appendBytes(append(b, tagBlob), stmt.ColumnRawBlob(i))
	}
	return append(b, tagNull)
}

func appendInt(b []byte, n int64) []byte {
	if int64(int32(n)) == n {
		return binary.LittleEndian.AppendUint32(append(b, tagInt32), uint32(n))
	}
	return binary.LittleEndian.AppendUint64(append(b, tagInt64), uint64(n))
}

func appendBytes(b, data []byte) []byte {
	return append(binary.LittleEndian.AppendUint32(b, uint32(len(data))), data...)
}

// Params are the parameters of a statement, packed.
type Params struct {
	Names  []string // of the values, with or without the : in front; nil when they go by position
	Values []byte
}

// bind gives a statement its parameters. Each of both must be there for the other.
func (p Params) bind(stmt *sqlite3.Stmt) error {
	rest, given := p.Values, 0
	bound := make([]bool, stmt.BindCount())
	for len(rest) > 0 {
		index, err := p.index(stmt, given)
		if err != nil {
			return err
		}
		if rest, err = bindValue(stmt, index, rest); err != nil {
			return fmt.Errorf("parameter %d: %w", given+1, err)
		}
		bound[index-1] = true
		given++
	}
	for i, ok := range bound {
		if !ok {
			return fmt.Errorf("parameter %s has no value: %w", paramName(stmt, i+1), ErrArgument)
		}
	}
	return nil
}

// index is where in the statement the value with a number, from 0, goes.
func (p Params) index(stmt *sqlite3.Stmt, number int) (int, error) {
	if p.Names == nil {
		if number >= stmt.BindCount() {
			return 0, fmt.Errorf("the statement takes %d parameters, and there are more values: %w", stmt.BindCount(), ErrArgument)
		}
		return number + 1, nil
	}
	if number >= len(p.Names) {
		return 0, fmt.Errorf("more values than names: %w", ErrArgument)
	}
	name := p.Names[number]
	for _, sigil := range []string{"", ":", "@", "$"} {
		if i := stmt.BindIndex(sigil + name); i > 0 {
			return i, nil
		}
	}
	return 0, fmt.Errorf("the statement has no parameter :%.60s: %w", name, ErrArgument)
}

func paramName(stmt *sqlite3.Stmt, i int) string {
	if name := stmt.BindName(i); name != "" {
		return name
	}
	return fmt.Sprintf("%d", i)
}

// errPacked: whoever has packed the values has done it wrongly.
var errPacked = fmt.Errorf("packed values make no sense: %w", ErrArgument)

// bindValue binds the first value of b, and returns what follows it.
func bindValue(stmt *sqlite3.Stmt, index int, b []byte) (rest []byte, err error) {
	tag, b := b[0], b[1:]
	size, err := sizeOf(tag, b)
	if err != nil {
		return nil, err
	}
	if tag == tagText || tag == tagBlob {
		b = b[4:]
	}
	value, rest := b[:size], b[size:]
	switch tag {
	case tagInt32:
		err = stmt.BindInt64(index, int64(int32(binary.LittleEndian.Uint32(value))))
	case tagInt64:
		err = stmt.BindInt64(index, int64(binary.LittleEndian.Uint64(value)))
	case tagFloat:
		err = stmt.BindFloat(index, math.Float64frombits(binary.LittleEndian.Uint64(value)))
	case tagText:
		err = stmt.BindRawText(index, value)
	case tagBlob:
		err = stmt.BindBlob(index, value)
	default:
		err = stmt.BindNull(index)
	}
	return rest, err
}

// sizeOf is how many bytes a value of that tag takes: of b, or for text and blobs of what follows their length in b.
func sizeOf(tag byte, b []byte) (size int, err error) {
	head := 0
	switch tag {
	case tagNull:
	case tagInt32:
		size = 4
	case tagInt64, tagFloat:
		size = 8
	case tagText, tagBlob:
		if head = 4; len(b) >= head {
			size = int(binary.LittleEndian.Uint32(b))
		}
	default:
		return 0, errPacked
	}
	if len(b) < head || len(b)-head < size {
		return 0, errPacked
	}
	return size, nil
}
