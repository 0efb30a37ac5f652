package hydrate

import (
	"encoding/binary"
	"unicode/utf16"
)

// What lies here reads pages of SQLite's b-trees. It only decides what is fetched first, so it makes the best of every page:
// what cannot be is left out, and nothing that is read sends it outside the page.

// kinds of b-tree pages
const (
	interiorIndex = 0x02
	interiorTable = 0x05
	leafIndex     = 0x0a
	leafTable     = 0x0d
)

// node is one page of a b-tree.
type node struct {
	kind     byte
	children []uint32 // pages, left to right; nil for a leaf
	cells    []cell
}

// cell is one entry of a node.
type cell struct {
	payload  []byte // what of it lies in the page
	overflow chain  // where the rest is
}

// chain is a list of overflow pages.
type chain struct {
	next uint32 // page; 0 is none
	left int64  // pages
}

func (n *node) interior() bool { return n.kind == interiorIndex || n.kind == interiorTable }

// parseNode reads a page. usable is its size without what extensions reserve at its end, in bytes. ok is false when it is no
// page of a b-tree.
func parseNode(page []byte, pgno uint32, usable int) (n node, ok bool) {
	start := 0
	if pgno == 1 {
		start = databaseHeader
	}
	if usable > len(page) || usable < start+12 {
		return node{}, false
	}
	n.kind = page[start]
	pointers := start + 8
	switch n.kind {
	case interiorIndex, interiorTable:
		pointers = start + 12
	case leafIndex, leafTable:
	default:
		return node{}, false
	}
	count := int(binary.BigEndian.Uint16(page[start+3:]))
	if pointers+2*count > usable {
		return node{}, false
	}
	for i := range count {
		off := int(binary.BigEndian.Uint16(page[pointers+2*i:]))
		if off >= pointers+2*count && off < usable {
			n.add(page[off:usable], usable)
		}
	}
	if n.interior() {
		n.child(binary.BigEndian.Uint32(page[start+8:]))
	}
	return n, true
}

func (n *node) child(pgno uint32) {
	if pgno > 1 {
		n.children = append(n.children, pgno)
	}
}

// add reads the cell at the beginning of b.
func (n *node) add(b []byte, usable int) {
	if n.interior() {
		if len(b) < 4 {
			return
		}
		n.child(binary.BigEndian.Uint32(b))
		b = b[4:]
	}
	if n.kind == interiorTable {
		return // a row number is all there is
	}
	size, used := varint(b)
	if used == 0 || size > 1<<31 {
		return
	}
	b = b[used:]
	if n.kind == leafTable {
		_, used := varint(b)
		b = b[used:]
	}
	local := localPayload(int64(size), int64(usable), n.kind == leafTable)
	if local > int64(len(b)) {
		return
	}
	c := cell{payload: b[:local]}
	if local < int64(size) && len(b) >= int(local)+4 {
		perPage := int64(usable) - 4
		c.overflow = chain{binary.BigEndian.Uint32(b[local:]), (int64(size) - local + perPage - 1) / perPage}
	}
	n.cells = append(n.cells, c)
}

// localPayload is how much of a payload of size bytes is kept in the page; the file format's documentation has the formulas.
func localPayload(size, usable int64, table bool) int64 {
	most := (usable-12)*64/255 - 23
	if table {
		most = usable - 35
	}
	if size <= most {
		return size
	}
	least := (usable-12)*32/255 - 23
	if k := least + (size-least)%(usable-4); k <= most {
		return max(k, 0)
	}
	return max(least, 0)
}

// varint reads one of SQLite's integers: big-endian, at most nine bytes. used is 0 when it is cut.
func varint(b []byte) (v uint64, used int) {
	for i := range min(len(b), 9) {
		if i == 8 {
			return v<<8 | uint64(b[i]), 9
		}
		v = v<<7 | uint64(b[i]&0x7f)
		if b[i] < 0x80 {
			return v, i + 1
		}
	}
	return 0, 0
}

const databaseHeader = 100 // bytes at the beginning of page 1

// schemaRow is what sqlite_schema says of one b-tree.
type schemaRow struct {
	table string // the table itself, or the one that an index belongs to
	root  uint32
}

// parseSchemaRow reads a record of sqlite_schema: type, name, tbl_name, rootpage, sql. ok is false when it has no b-tree.
func parseSchemaRow(record []byte, encoding uint32) (row schemaRow, ok bool) {
	headerSize, used := varint(record)
	if used == 0 || headerSize > uint64(len(record)) {
		return schemaRow{}, false
	}
	types, body := record[used:max(int(headerSize), used)], record[headerSize:]
	for column := range 4 {
		serial, used := varint(types)
		if used == 0 {
			return schemaRow{}, false
		}
		types = types[used:]
		size := serialSize(serial)
		if size > uint64(len(body)) {
			return schemaRow{}, false
		}
		value := body[:size]
		body = body[size:]
		switch column {
		case 2:
			row.table = text(value, encoding)
		case 3:
			row.root = integer(serial, value)
		}
	}
	return row, row.root > 1
}

// serialSize is how many bytes a value takes.
func serialSize(serial uint64) uint64 {
	switch {
	case serial >= 12:
		return (serial - 12) / 2
	case serial == 8, serial == 9, serial == 10, serial == 11, serial == 0:
		return 0
	}
	return [...]uint64{0, 1, 2, 3, 4, 6, 8, 8}[serial]
}

// integer is the value of a page number; 0 when it is none.
func integer(serial uint64, value []byte) uint32 {
	if serial == 9 {
		return 1
	}
	var v uint64
	for _, b := range value {
		v = v<<8 | uint64(b)
	}
	if serial > 6 || v > 1<<32-2 {
		return 0
	}
	return uint32(v)
}

// text decodes a string in the database's encoding.
func text(b []byte, encoding uint32) string {
	var order binary.ByteOrder
	switch encoding {
	case 2:
		order = binary.LittleEndian
	case 3:
		order = binary.BigEndian
	default:
		return string(b)
	}
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = order.Uint16(b[2*i:])
	}
	return string(utf16.Decode(units))
}
