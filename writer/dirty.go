package writer

import (
	"errors"
	"fmt"
	"os"
	"slices"
)

const (
	// keepInMemory is how much a transaction keeps in memory, in bytes, before it goes on in a file.
	keepInMemory = 8 << 20
	// chunkBytes is how much memory is taken at a time.
	chunkBytes = 256 << 10
)

// dirty are the pages that a transaction has written so far: the first ones in memory, all others in a file that has no name.
type dirty struct {
	pageSize int
	slots    map[uint32]int // of each page
	used     int            // slots, in order of the first write
	chunks   [][]byte
	spill    *os.File // nil until it is needed
	dir      string
}

func newDirty(dir string) *dirty { return &dirty{slots: map[uint32]int{}, dir: dir} }

// reset makes it empty, for another transaction with pages of that size.
func (d *dirty) reset(pageSize int) {
	if d.pageSize != pageSize {
		d.chunks = nil
	}
	d.pageSize, d.used = pageSize, 0
	if len(d.slots) > 1<<16 {
		d.slots = map[uint32]int{} // a map never shrinks
	}
	clear(d.slots)
}

// close gives back the file.
func (d *dirty) close() error {
	if d.spill == nil {
		return nil
	}
	f := d.spill
	d.spill = nil
	return dropTemp(f)
}

func (d *dirty) perChunk() int { return max(chunkBytes/d.pageSize, 1) }

func (d *dirty) inMemory() int { return keepInMemory / d.pageSize }

// memory is where a slot lies, if that is in memory.
func (d *dirty) memory(slot int) []byte {
	chunk, at := slot/d.perChunk(), slot%d.perChunk()*d.pageSize
	if chunk == len(d.chunks) {
		d.chunks = append(d.chunks, make([]byte, d.perChunk()*d.pageSize))
	}
	return d.chunks[chunk][at : at+d.pageSize]
}

func (d *dirty) fileOff(slot int) int64 { return int64(slot-d.inMemory()) * int64(d.pageSize) }

// write keeps a copy of a page, in place of what was there.
func (d *dirty) write(pgno uint32, data []byte) error {
	slot, there := d.slots[pgno]
	if !there {
		slot = d.used
	}
	if slot < d.inMemory() {
		copy(d.memory(slot), data)
	} else if err := d.writeFile(slot, data); err != nil {
		return err
	}
	if !there {
		d.slots[pgno] = slot
		d.used++
	}
	return nil
}

func (d *dirty) writeFile(slot int, data []byte) error {
	if d.spill == nil {
		f, err := newTemp(d.dir, "litefs-s3-tx-*")
		if err != nil {
			return fmt.Errorf("temporary file for a large transaction: %w", err)
		}
		d.spill = f
	}
	if _, err := d.spill.WriteAt(data, d.fileOff(slot)); err != nil {
		return fmt.Errorf("temporary file for a large transaction: %w", err)
	}
	return nil
}

// read copies a page into dst. ok is false when it was not written.
func (d *dirty) read(pgno uint32, dst []byte) (ok bool, err error) {
	slot, ok := d.slots[pgno]
	if !ok {
		return false, nil
	}
	if slot < d.inMemory() {
		copy(dst, d.memory(slot))
		return true, nil
	}
	if _, err := d.spill.ReadAt(dst, d.fileOff(slot)); err != nil {
		return true, fmt.Errorf("temporary file of a large transaction: %w", err)
	}
	return true, nil
}

// cut forgets the pages above the highest.
func (d *dirty) cut(highest uint32) {
	for pgno := range d.slots {
		if pgno > highest {
			delete(d.slots, pgno)
		}
	}
}

// pgnos are the pages written, ascending.
func (d *dirty) pgnos() []uint32 {
	pgnos := make([]uint32, 0, len(d.slots))
	for pgno := range d.slots {
		pgnos = append(pgnos, pgno)
	}
	slices.Sort(pgnos)
	return pgnos
}

// newTemp returns a file without a name, where the system has such.
func newTemp(dir, pattern string) (*os.File, error) {
	f, err := os.CreateTemp(dir, pattern) // mode 0600
	if err != nil {
		return nil, err
	}
	_ = os.Remove(f.Name()) // where that does not work yet, dropTemp does it
	return f, nil
}

func dropTemp(f *os.File) error {
	err := f.Close()
	if rerr := os.Remove(f.Name()); rerr != nil && !errors.Is(rerr, os.ErrNotExist) {
		err = errors.Join(err, rerr)
	}
	return err
}
