package wasiabi

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Kinds of values: a byte before each.
const (
	null = iota
	integer
	real
	text
	blob
)

// AppendValue appends a value of SQLite: nil, int64, float64, string or []byte.
func AppendValue(b []byte, value any) ([]byte, error) {
	switch v := value.(type) {
	case nil:
		return append(b, null), nil
	case int64:
		return binary.LittleEndian.AppendUint64(append(b, integer), uint64(v)), nil
	case float64:
		return binary.LittleEndian.AppendUint64(append(b, real), math.Float64bits(v)), nil
	case string:
		return append(binary.LittleEndian.AppendUint32(append(b, text), uint32(len(v))), v...), nil
	case []byte:
		return appendBytes(append(b, blob), v), nil
	}
	return nil, fmt.Errorf("a value of type %T: SQLite has nil, int64, float64, string and []byte", value)
}

// AppendText and AppendBlob append what SQLite lends, without making a value of it first.
func AppendText(b, data []byte) []byte { return appendBytes(append(b, text), data) }
func AppendBlob(b, data []byte) []byte { return appendBytes(append(b, blob), data) }

// CutValue takes the first value off b. A blob is a copy.
func CutValue(b []byte) (value any, rest []byte, err error) {
	if len(b) == 0 {
		return nil, nil, ErrFormat
	}
	kind, b := b[0], b[1:]
	switch kind {
	case null:
		return nil, b, nil
	case integer, real:
		if len(b) < 8 {
			return nil, nil, ErrFormat
		}
		n := binary.LittleEndian.Uint64(b)
		if kind == real {
			return math.Float64frombits(n), b[8:], nil
		}
		return int64(n), b[8:], nil
	case text, blob:
		data, rest, err := cutBytes(b)
		if err != nil {
			return nil, nil, err
		}
		if kind == text {
			return string(data), rest, nil
		}
		return append([]byte{}, data...), rest, nil
	}
	return nil, nil, ErrFormat
}
