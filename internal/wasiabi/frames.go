package wasiabi

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
)

// ErrFormat: bytes from the other side are not what they should be.
var ErrFormat = errors.New("message of the WASI module does not have the form that docs/wasi-abi.md describes")

// Pack makes one number of where a message lies in the guest's memory. It is never 0: no message lies at 0.
func Pack(ptr, size uint32) uint64 { return uint64(ptr)<<32 | uint64(size) }

// Unpack is the reverse of Pack.
func Unpack(at uint64) (ptr, size uint32) { return uint32(at >> 32), uint32(at) }

// AppendReply appends a Reply and the bytes that were read: the length of the JSON, the JSON, the bytes.
func AppendReply(b []byte, r Reply, data []byte) ([]byte, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("reply: %w", err)
	}
	return append(appendBytes(b, text), data...), nil
}

// ParseReply is the reverse of AppendReply. data is a part of b.
func ParseReply(b []byte) (r Reply, data []byte, err error) {
	text, data, err := cutBytes(b)
	if err != nil {
		return r, nil, err
	}
	return r, data, json.Unmarshal(text, &r)
}

// AppendFailure appends the message of an export that failed.
func AppendFailure(b []byte, f Failure) []byte {
	text, _ := json.Marshal(f) // of two strings: it cannot fail
	return append(append(b, Error), text...)
}

// AppendColumns appends the names of a result's columns.
func AppendColumns(b []byte, names []string) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(len(names)))
	for _, name := range names {
		b = appendBytes(b, []byte(name))
	}
	return b
}

// ParseColumns is the reverse of AppendColumns.
func ParseColumns(b []byte) ([]string, error) {
	n, b, err := cutUint32(b)
	if err != nil || int64(n) > int64(len(b))/4 {
		return nil, ErrFormat
	}
	names := make([]string, n)
	for i := range names {
		var name []byte
		if name, b, err = cutBytes(b); err != nil {
			return nil, err
		}
		names[i] = string(name)
	}
	return names, nil
}

// Argument is a value for a parameter of a statement: for the next one in order, or for the one of this name without its sign.
type Argument struct {
	Name  string
	Value any
}

// AppendQuery appends a statement and the values of its parameters.
func AppendQuery(b []byte, sql string, args []Argument) ([]byte, error) {
	b = appendBytes(b, []byte(sql))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(args)))
	var err error
	for _, a := range args {
		if b, err = AppendValue(appendBytes(b, []byte(a.Name)), a.Value); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// ParseQuery is the reverse of AppendQuery.
func ParseQuery(b []byte) (sql string, args []Argument, err error) {
	text, b, err := cutBytes(b)
	if err != nil {
		return "", nil, err
	}
	n, b, err := cutUint32(b)
	if err != nil || int64(n) > int64(len(b))/5 {
		return "", nil, ErrFormat
	}
	args = make([]Argument, n)
	for i := range args {
		var name []byte
		if name, b, err = cutBytes(b); err != nil {
			return "", nil, err
		}
		args[i].Name = string(name)
		if args[i].Value, b, err = CutValue(b); err != nil {
			return "", nil, err
		}
	}
	return string(text), args, nil
}

func appendBytes(b, data []byte) []byte {
	return append(binary.LittleEndian.AppendUint32(b, uint32(len(data))), data...)
}

func cutUint32(b []byte) (uint32, []byte, error) {
	if len(b) < 4 {
		return 0, nil, ErrFormat
	}
	return binary.LittleEndian.Uint32(b), b[4:], nil
}

func cutBytes(b []byte) (data, rest []byte, err error) {
	n, b, err := cutUint32(b)
	if err != nil || int64(n) > int64(len(b)) {
		return nil, nil, ErrFormat
	}
	return b[:n], b[n:], nil
}
