package sidecar

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"github.com/litefs-s3/litefs-s3/index"
)

// magic begins an object; its last byte is the version of what follows.
const magic = "litefs-s3 sidecar\x01"

// Encode returns the bytes of a sidecar: numbers as varints, and a sum over all of it at the end. Page tables that find no room are
// left out, the largest first.
func (s *Sidecar) Encode() []byte {
	b := []byte(magic)
	b = binary.AppendUvarint(b, uint64(s.TXID))
	b = binary.AppendUvarint(b, uint64(max(0, s.Made.UnixMilli())))
	b = appendTables(b, s.Layouts, maxSize-maxBlobs-5*maxProfile-len(b)-sha256.Size)
	b = appendBlobs(b, s.Blobs)
	b = appendProfile(b, s.Profile)
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

// appendTables appends page tables that together take at most room bytes.
func appendTables(b []byte, layouts []*index.Layout, room int) []byte {
	tables := make([][]byte, len(layouts))
	total := 0
	for i, l := range layouts {
		tables[i] = l.AppendTable(appendFile(nil, l.File()))
		total += len(tables[i]) + binary.MaxVarintLen64
	}
	for total > room {
		i, _ := largest(tables)
		total -= len(tables[i]) + binary.MaxVarintLen64
		tables = slices.Delete(tables, i, i+1)
	}
	b = binary.AppendUvarint(b, uint64(len(tables)))
	for _, t := range tables {
		b = appendBytes(b, t)
	}
	return b
}

func largest(tables [][]byte) (at, size int) {
	for i, t := range tables {
		if len(t) > size {
			at, size = i, len(t)
		}
	}
	return at, size
}

// appendBlobs appends pieces of files, file by file.
func appendBlobs(b []byte, blobs []index.Blob) []byte {
	b = binary.AppendUvarint(b, uint64(len(blobs)))
	var last *index.File
	for _, blob := range blobs {
		if last != nil && index.SameFile(last, blob.File) {
			b = append(b, 0) // the same file as before
		} else {
			b = append(b, 1)
			b = appendFile(b, blob.File)
		}
		last = blob.File
		b = binary.AppendUvarint(b, uint64(blob.Off))
		b = appendBytes(b, blob.Data)
	}
	return b
}

func appendFile(b []byte, f *index.File) []byte {
	for _, n := range []uint64{uint64(f.Level), uint64(f.Min), uint64(f.Max - f.Min), uint64(f.Size)} {
		b = binary.AppendUvarint(b, n)
	}
	return appendBytes(b, []byte(f.ETag))
}

func appendBytes(b, data []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(data))), data...)
}

func appendProfile(b []byte, pgnos []uint32) []byte {
	b = binary.AppendUvarint(b, uint64(len(pgnos)))
	prev := uint32(0)
	for _, pgno := range pgnos {
		b = binary.AppendUvarint(b, uint64(pgno-prev))
		prev = pgno
	}
	return b
}

// compareBlobs orders by file, then by place.
func compareBlobs(a, b index.Blob) int {
	return cmp.Or(cmp.Compare(a.File.Level, b.File.Level), cmp.Compare(a.File.Min, b.File.Min),
		cmp.Compare(a.File.Max, b.File.Max), cmp.Compare(a.Off, b.Off))
}
