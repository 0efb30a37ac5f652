package btree

import (
	"encoding/binary"
	"unicode/utf16"
)

// Kinds of pages.
const (
	InteriorIndex = 0x02
	InteriorTable = 0x05
	LeafIndex     = 0x0a
	LeafTable     = 0x0d
)

// Node is one page of a b-tree.
type Node struct {
	Kind     byte
	Children []uint32 // pages, left to right; nil for a leaf
	Cells    []Cell
}

// Cell is one entry of a Node.
type Cell struct {
	Payload  []byte // what of it lies in the page
	Overflow Chain  // where the rest is
}

// Chain is a list of overflow pages.
type Chain struct {
	Next uint32 // page; 0 is none
	Left int64  // pages
}

// Interior reports whether other pages lie below.
func (n *Node) Interior() bool { return n.Kind == InteriorIndex || n.Kind == InteriorTable }

// Header is what page 1 says of the database.
type Header struct {
	Usable   int    // bytes of a page, without what extensions reserve at its end
	Encoding uint32 // of text: 1 is UTF-8, 2 and 3 are UTF-16
	Trunk    uint32 // first page of the list of free pages; 0 is none
	Free     uint32 // pages
}

// headerSize is how much of page 1 comes before its node, in bytes.
const headerSize = 100

// ParseHeader reads page 1. ok is false when it is not that of a database.
func ParseHeader(page []byte) (h Header, ok bool) {
	const magic = "SQLite format 3\x00"
	if len(page) < headerSize || string(page[:len(magic)]) != magic {
		return Header{}, false
	}
	n := func(off int) uint32 { return binary.BigEndian.Uint32(page[off:]) }
	return Header{Usable: len(page) - int(page[20]), Encoding: n(56), Trunk: n(32), Free: n(36)}, true
}

// Parse reads a page. ok is false when it is no page of a b-tree.
func Parse(page []byte, pgno uint32, usable int) (n Node, ok bool) {
	start := 0
	if pgno == 1 {
		start = headerSize
	}
	if usable > len(page) || usable < start+12 {
		return Node{}, false
	}
	n.Kind = page[start]
	pointers := start + 8
	switch n.Kind {
	case InteriorIndex, InteriorTable:
		pointers = start + 12
	case LeafIndex, LeafTable:
	default:
		return Node{}, false
	}
	count := int(binary.BigEndian.Uint16(page[start+3:]))
	if pointers+2*count > usable {
		return Node{}, false
	}
	for i := range count {
		off := int(binary.BigEndian.Uint16(page[pointers+2*i:]))
		if off >= pointers+2*count && off < usable {
			n.add(page[off:usable], usable)
		}
	}
	if n.Interior() {
		n.child(binary.BigEndian.Uint32(page[start+8:]))
	}
	return n, true
}

func (n *Node) child(pgno uint32) {
	if pgno > 1 {
		n.Children = append(n.Children, pgno)
	}
}

// add reads the cell at the beginning of b.
func (n *Node) add(b []byte, usable int) {
	if n.Interior() {
		if len(b) < 4 {
			return
		}
		n.child(binary.BigEndian.Uint32(b))
		b = b[4:]
	}
	if n.Kind == InteriorTable {
		return // a row number is all there is
	}
	size, used := varint(b)
	if used == 0 || size > 1<<31 {
		return
	}
	b = b[used:]
	if n.Kind == LeafTable {
		_, used := varint(b)
		b = b[used:]
	}
	local := localPayload(int64(size), int64(usable), n.Kind == LeafTable)
	if local > int64(len(b)) {
		return
	}
	c := Cell{Payload: b[:local]}
	if local < int64(size) && len(b) >= int(local)+4 {
		perPage := int64(usable) - 4
		c.Overflow = Chain{binary.BigEndian.Uint32(b[local:]), (int64(size) - local + perPage - 1) / perPage}
	}
	n.Cells = append(n.Cells, c)
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

// SchemaRow is what sqlite_schema says of one b-tree.
type SchemaRow struct {
	Type  string // "table" or "index"
	Name  string
	Table string // the table itself, or the one that an index belongs to
	Root  uint32 // page
}

// ParseSchemaRow reads a record of sqlite_schema: type, name, tbl_name, rootpage, sql. ok is false when it has no b-tree.
func ParseSchemaRow(record []byte, encoding uint32) (row SchemaRow, ok bool) {
	headerSize, used := varint(record)
	if used == 0 || headerSize > uint64(len(record)) {
		return SchemaRow{}, false
	}
	types, body := record[used:max(int(headerSize), used)], record[headerSize:]
	for column := range 4 {
		serial, used := varint(types)
		if used == 0 {
			return SchemaRow{}, false
		}
		types = types[used:]
		size := serialSize(serial)
		if size > uint64(len(body)) {
			return SchemaRow{}, false
		}
		value := body[:size]
		body = body[size:]
		switch column {
		case 0:
			row.Type = text(value, encoding)
		case 1:
			row.Name = text(value, encoding)
		case 2:
			row.Table = text(value, encoding)
		case 3:
			row.Root = integer(serial, value)
		}
	}
	return row, row.Root > 1
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
