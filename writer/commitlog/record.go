package commitlog

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/superfly/ltx"

	"github.com/litefs-s3/litefs-s3/index"
)

// A record is a header of 40 bytes, a body, and a checksum of 4 bytes:
//
//	 0  magic          u32
//	 4  kind           u8, then three zero bytes
//	 8  seq            u64   of the last transaction, this one included
//	16  body           u64   bytes
//	24  log            u64   a number drawn when the log began
//	32  chain          u32   the checksum at the end of the record before; 0 in the first of a segment
//	36  header sum     u32   CRC-32C of the 36 bytes before
//
// A transaction's body is its size in pages, the page size and the number of pages, four bytes each; the pages one after another; for each
// page its number and checksum. The checksum at the end covers header and body, but not the pages themselves: those have their own.
const (
	magic      = 0x4c533352
	headerSize = 40
	sumSize    = 4

	// txHeadSize is what stands before the pages of a transaction, entrySize what stands behind them for each.
	txHeadSize = 12
	entrySize  = 8

	// maxMeta bounds the body of a record that is not a transaction.
	maxMeta = 1 << 16
)

type kind byte

const (
	kindBegin kind = iota + 1
	kindTx
	kindSeal
	kindConfirm
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func sum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// head is the header of a record.
type head struct {
	kind  kind
	seq   uint64
	body  int64
	log   uint64
	chain uint32
}

func (h head) append(b []byte) []byte {
	be := binary.BigEndian
	start := len(b)
	b = be.AppendUint32(b, magic)
	b = append(b, byte(h.kind), 0, 0, 0)
	b = be.AppendUint64(b, h.seq)
	b = be.AppendUint64(b, uint64(h.body))
	b = be.AppendUint64(b, h.log)
	b = be.AppendUint32(b, h.chain)
	return be.AppendUint32(b, sum(b[start:]))
}

// decodeHead reads a header; ok is false for anything else.
func decodeHead(b []byte) (h head, ok bool) {
	be := binary.BigEndian
	if len(b) < headerSize || be.Uint32(b) != magic || be.Uint32(b[36:]) != sum(b[:36]) {
		return head{}, false
	}
	h = head{kind: kind(b[4]), seq: be.Uint64(b[8:]), body: int64(be.Uint64(b[16:])), log: be.Uint64(b[24:]), chain: be.Uint32(b[32:])}
	return h, h.kind >= kindBegin && h.kind <= kindConfirm && h.body >= 0
}

// Base is a state of the bucket.
type Base struct {
	TXID   index.TXID `json:"txid"` // 0: there is no database yet
	Time   time.Time  `json:"time"` // of its newest transaction
	Commit uint32     `json:"commit"`
	File   index.File `json:"file"` // the newest file, which proves that it is the same history
}

// Seal says what the next TXID will hold.
type Seal struct {
	TXID   index.TXID `json:"txid"`
	Seq    uint64     `json:"seq"`    // the last transaction in it
	Time   time.Time  `json:"time"`   // in its header
	Commit uint32     `json:"commit"` // pages
	Size   int64      `json:"size"`   // of the file, in bytes
	Digest []byte     `json:"digest"` // SHA-256 of the file
}

// begin is the body of a segment's first record.
type begin struct {
	Format   int    `json:"format"`
	Replica  string `json:"replica"`
	PageSize uint32 `json:"page_size"` // 0: nothing was ever written
	Base     Base   `json:"base"`
	Trimmed  uint64 `json:"trimmed"` // the last transaction that was confirmed
	Seal     *Seal  `json:"seal,omitempty"`
	Policy   Policy `json:"policy"`
}

// format is the one this package writes and reads.
const format = 1

// confirm is the body of a confirm record.
type confirm struct {
	Base Base   `json:"base"`
	Seq  uint64 `json:"seq"`
}

// metaRecord encodes a record that is not a transaction, and returns its checksum too.
func metaRecord(h head, body any) ([]byte, uint32, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, 0, err
	}
	if len(text) > maxMeta {
		return nil, 0, fmt.Errorf("record of %d bytes is too long", len(text))
	}
	h.body = int64(len(text))
	b := append(h.append(nil), text...)
	s := sum(b)
	return binary.BigEndian.AppendUint32(b, s), s, nil
}

// txHead is what stands before the pages of a transaction.
type txHead struct {
	commit, pageSize, pages uint32
}

func (t txHead) append(b []byte) []byte {
	be := binary.BigEndian
	return be.AppendUint32(be.AppendUint32(be.AppendUint32(b, t.commit), t.pageSize), t.pages)
}

func decodeTxHead(b []byte) txHead {
	be := binary.BigEndian
	return txHead{be.Uint32(b), be.Uint32(b[4:]), be.Uint32(b[8:])}
}

// bodySize is the size of the whole body of the transaction in bytes.
func (t txHead) bodySize() int64 {
	return txHeadSize + int64(t.pages)*int64(entrySize+t.pageSize)
}

// valid reports whether a transaction with a body of that size can be.
func (t txHead) valid(body int64) bool {
	return t.commit > 0 && ltx.IsValidPageSize(t.pageSize) && t.bodySize() == body
}

// pageSum is the checksum of a page, its number included: a page read from another place is no page.
func pageSum(pgno uint32, data []byte) uint32 {
	var n [4]byte
	binary.BigEndian.PutUint32(n[:], pgno)
	return crc32.Update(sum(n[:]), castagnoli, data)
}

func update(s uint32, b []byte) uint32 { return crc32.Update(s, castagnoli, b) }
