package hydrate

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// The journal follows the snapshot in the state file. A record is
//
//	length of the payload | payload: distances between page numbers, as varints | checksum
//
// and says that these pages are no longer what the snapshot calls them. The checksum goes over all that lies before it, so
// that no record of another file is ever believed. It says nothing of a TXID: pages that are not struck out are what they
// were at the snapshot's.

// recordFrame is what a record has around its payload, in bytes.
const recordFrame = 8

// appendRecord appends a record of ascending pages to b, and returns the checksum for the next one. sum is that of what lies before.
func appendRecord(b []byte, sum uint32, pgnos []uint32) ([]byte, uint32) {
	start := len(b)
	b = append(b, 0, 0, 0, 0)
	last := uint32(0)
	for _, pgno := range pgnos {
		b = binary.AppendUvarint(b, uint64(pgno-last))
		last = pgno
	}
	binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start-4))
	sum = crc32.Update(sum, castagnoli, b[start:])
	return binary.BigEndian.AppendUint32(b, sum), sum
}

// replay removes the pages that the journal strikes out from present. A record that is cut or wrong can only be the last one, which
// was being written when the process ended, and so before what it says was done. One that others follow is damage.
func replay(journal []byte, sum uint32, present *bitmap) error {
	for len(journal) > 0 {
		if len(journal) < recordFrame {
			return nil // cut
		}
		size := uint64(binary.BigEndian.Uint32(journal)) + recordFrame
		if size > uint64(len(journal)) {
			return nil // cut
		}
		record := journal[:size-4]
		next := crc32.Update(sum, castagnoli, record)
		switch good := next == binary.BigEndian.Uint32(journal[size-4:]); {
		case !good && (size == uint64(len(journal)) || isZero(journal)):
			return nil // the size of the file was there before its bytes were
		case !good:
			return fmt.Errorf("%w: checksum of a record, %d bytes before the end", errState, len(journal))
		}
		if err := strike(record[4:], present); err != nil {
			return err
		}
		sum, journal = next, journal[size:]
	}
	return nil
}

func strike(payload []byte, present *bitmap) error {
	pgno := uint64(0)
	for len(payload) > 0 {
		distance, n := binary.Uvarint(payload)
		if n <= 0 {
			return fmt.Errorf("%w: number in a record", errState)
		}
		payload = payload[n:]
		if pgno += distance; pgno == 0 || distance > 1<<32-1 || pgno > 1<<32-1 {
			return fmt.Errorf("%w: page %d in a record", errState, pgno)
		}
		present.clear(uint32(pgno))
	}
	return nil
}

func isZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
