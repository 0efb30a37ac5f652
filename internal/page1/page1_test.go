package page1

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// A checksum that was right stays right, one that was wrong stays wrong, and nothing else changes than what is said.
func TestChanges(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 1))
	for _, kind := range []string{"none", "right", "wrong"} {
		page := make([]byte, 4096)
		for i := range page {
			page[i] = byte(rng.Uint32())
		}
		page[Reserved] = 0
		if kind != "none" {
			page[Reserved] = ChecksumSize
			Seal(page)
		}
		if kind == "wrong" {
			page[4095] ^= 1
		}
		before := bytes.Clone(page)
		Show(page, 7, 99)
		SetVersions(page, 2, 2)
		if Intact(page) != (kind == "right") {
			t.Errorf("checksum %s before, right after it: %v", kind, Intact(page))
		}
		be := binary.BigEndian
		if be.Uint32(page[Counter:]) != 7 || be.Uint32(page[CounterOf:]) != 7 || be.Uint32(page[Pages:]) != 99 || page[WriteVersion] != 2 || page[ReadVersion] != 2 {
			t.Errorf("header % x", page[:HeaderSize])
		}
		for _, keep := range [][2]int{{0, WriteVersion}, {Reserved, Counter}, {Pages + 4, CounterOf}, {CounterOf + 4, 4096 - ChecksumSize}} {
			if !bytes.Equal(page[keep[0]:keep[1]], before[keep[0]:keep[1]]) {
				t.Errorf("bytes %d to %d have changed", keep[0], keep[1])
			}
		}
	}
}
