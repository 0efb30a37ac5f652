package stoppable

import "slices"

const (
	customSection = 0
	importSection = 2
	globalSection = 6
	codeSection   = 10

	kindFunction = 0
	kindTable    = 1
	kindMemory   = 2
	kindGlobal   = 3

	typeI32 = 0x7f
)

// Instructions that are written, or are followed by something.
const (
	opUnreachable  = 0x00
	opBlock        = 0x02
	opLoop         = 0x03
	opIf           = 0x04
	opEnd          = 0x0b
	opBr           = 0x0c
	opBrIf         = 0x0d
	opBrTable      = 0x0e
	opCall         = 0x10
	opCallIndirect = 0x11
	opSelectTyped  = 0x1c
	opLocalGet     = 0x20 // to table.set
	opGlobalGet    = 0x23
	opGlobalSet    = 0x24
	opTableSet     = 0x26
	opI32Load      = 0x28 // to the last store
	opLastStore    = 0x3e
	opMemorySize   = 0x3f
	opMemoryGrow   = 0x40
	opI32Const     = 0x41
	opI64Const     = 0x42
	opF32Const     = 0x43
	opF64Const     = 0x44
	opI32Eqz       = 0x45 // to the last numeric one
	opI32Sub       = 0x6b
	opLastNumeric  = 0xc4
	opRefNull      = 0xd0
	opRefIsNull    = 0xd1
	opRefFunc      = 0xd2
	opExtended     = 0xfc

	blockEmpty = 0x40
)

// bare are the instructions that nothing follows, besides the numeric ones: unreachable, nop, else, end, return, drop, select, ref.is_null.
var bare = []byte{opUnreachable, 0x01, 0x05, opEnd, 0x0f, 0x1a, 0x1b, opRefIsNull}

// immediates goes past what follows an instruction: WebAssembly 2.0 without vectors, which Go does not use.
func (r *reader) immediates(op byte) {
	switch {
	case op == opBlock, op == opLoop, op == opIf, op == opI32Const, op == opI64Const:
		r.skipInt()
	case op == opBr, op == opBrIf, op == opCall, op >= opLocalGet && op <= opTableSet, op == opRefFunc:
		r.uint()
	case op == opCallIndirect, op >= opI32Load && op <= opLastStore:
		r.uint()
		r.uint()
	case op == opBrTable:
		for range r.uint() {
			if r.uint(); r.err != nil {
				return
			}
		}
		r.uint()
	case op == opSelectTyped:
		r.take(r.uint())
	case op == opMemorySize, op == opMemoryGrow, op == opRefNull:
		r.byte()
	case op == opF32Const:
		r.take(4)
	case op == opF64Const:
		r.take(8)
	case op == opExtended:
		r.extended(r.uint())
	case slices.Contains(bare, op), op >= opI32Eqz && op <= opLastNumeric:
		// nothing follows
	default:
		r.fail("instruction %#x", op)
	}
}

// importType goes past what an import is.
func (r *reader) importType(kind byte) {
	switch kind {
	case kindFunction:
		r.uint()
	case kindTable, kindMemory:
		if kind == kindTable {
			r.byte()
		}
		if r.byte()&1 != 0 { // it has a maximum
			r.uint()
		}
		r.uint()
	case kindGlobal:
		r.take(2)
	default:
		r.fail("an import of kind %d", kind)
	}
}

// extended goes past what follows the second number of an instruction: saturating conversions, bulk memory, tables.
func (r *reader) extended(op uint64) {
	switch {
	case op <= 7: // conversions
	case op == 9, op == 11, op == 13, op >= 15 && op <= 17: // data.drop, memory.fill, elem.drop, table.grow, size and fill
		r.uint()
	case op == 8, op == 10, op == 12, op == 14: // memory.init, memory.copy, table.init, table.copy
		r.uint()
		r.uint()
	default:
		r.fail("instruction 0xfc %d", op)
	}
}
