package btree

import "bytes"

// Entry is one entry of an index, as far as it lies in its page.
type Entry struct {
	Row  int64 // the last column: the number of the row that the entry is for, when the table has row numbers
	Same bool  // the other columns are those of the entry before: rows that are looked up by a key have such entries
}

// Entries returns those entries of a leaf of an index whose last column is a number, in their order. It is empty for other pages.
func Entries(page []byte, pgno uint32, usable int) []Entry {
	n, ok := Parse(page, pgno, usable)
	if !ok || n.Kind != LeafIndex {
		return nil
	}
	entries := make([]Entry, 0, len(n.Cells))
	var last key
	for _, c := range n.Cells {
		k, row, ok := parseEntry(c)
		if !ok {
			continue
		}
		entries = append(entries, Entry{Row: row, Same: len(entries) > 0 && k.equal(last)})
		last = k
	}
	return entries
}

// key is all of an entry but its last column.
type key struct{ types, body []byte }

func (k key) equal(l key) bool { return bytes.Equal(k.types, l.types) && bytes.Equal(k.body, l.body) }

// parseEntry reads a record that lies whole in its page.
func parseEntry(c Cell) (k key, row int64, ok bool) {
	size, used := varint(c.Payload)
	if c.Overflow.Next != 0 || used == 0 || size > uint64(len(c.Payload)) || size < uint64(used) {
		return key{}, 0, false
	}
	types, body := c.Payload[used:size], c.Payload[size:]
	var at, last int         // in types: behind all columns read, and before the last of them
	var end, begin, n uint64 // in body, likewise
	for at < len(types) {
		serial, used := varint(types[at:])
		if used == 0 {
			return key{}, 0, false
		}
		last, at = at, at+used
		begin, n = end, serial
		end += serialSize(serial)
		if end > uint64(len(body)) {
			return key{}, 0, false
		}
	}
	row, ok = number(n, body[begin:end])
	return key{types[:last], body[:begin]}, row, ok && at > 0
}

// number is the value of a whole number.
func number(serial uint64, value []byte) (int64, bool) {
	switch {
	case serial == 8 || serial == 9:
		return int64(serial - 8), true
	case serial == 0 || serial > 6 || len(value) == 0:
		return 0, false
	}
	v := int64(int8(value[0]))
	for _, b := range value[1:] {
		v = v<<8 | int64(b)
	}
	return v, true
}
