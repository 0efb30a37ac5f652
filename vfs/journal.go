package vfs

import (
	"errors"
	"io"
	"os"
	"sync"

	"github.com/ncruces/go-sqlite3/vfs"
)

// journalInMemory is how much of a journal is kept in memory, in bytes. What is longer goes to a temporary file.
const journalInMemory = 1 << 20

// journalBuffers are for the next transaction: most journals are a few pages long, and there is one for each transaction.
var journalBuffers = sync.Pool{New: func() any { return new([64 << 10]byte) }}

// journal is a rollback journal, or one that names several: what SQLite needs to take back a transaction while its process lives. Nothing
// in it is ever needed after that, so it is nowhere but here; and not in SQLite's own memory, which is small.
type journal struct {
	mem    []byte
	size   int64
	buffer *[64 << 10]byte // what mem was at first; nil before the first write
	file   *os.File        // nil while it fits in memory; has no name
}

func (j *journal) Close() error {
	j.mem = nil
	if j.buffer != nil {
		journalBuffers.Put(j.buffer)
		j.buffer = nil
	}
	if j.file == nil {
		return nil
	}
	return j.file.Close()
}

func (j *journal) ReadAt(p []byte, off int64) (int, error) {
	if off >= j.size {
		return 0, io.EOF
	}
	if j.file != nil {
		return j.file.ReadAt(p, off)
	}
	n := copy(p, j.mem[off:j.size])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (j *journal) WriteAt(p []byte, off int64) (int, error) {
	end := off + int64(len(p))
	if j.file == nil && end > journalInMemory {
		if err := j.spill(); err != nil {
			return 0, err
		}
	}
	if j.file != nil {
		if n, err := j.file.WriteAt(p, off); err != nil {
			return n, err
		}
		j.size = max(j.size, end)
		return len(p), nil
	}
	j.reserve(end)
	if off > j.size {
		clear(j.mem[j.size:off]) // a buffer has what the journal before left in it
	}
	copy(j.mem[off:], p)
	j.size = max(j.size, end)
	return len(p), nil
}

// reserve makes room for n bytes.
func (j *journal) reserve(n int64) {
	if j.buffer == nil {
		j.buffer = journalBuffers.Get().(*[64 << 10]byte)
		j.mem = j.buffer[:]
	}
	if n > int64(len(j.mem)) {
		grown := make([]byte, max(n, min(2*int64(len(j.mem)), journalInMemory)))
		copy(grown, j.mem[:j.size])
		j.mem = grown
	}
}

// spill moves to a temporary file.
func (j *journal) spill() error {
	f, err := os.CreateTemp("", "litefs-s3-journal-*")
	if err != nil {
		return err
	}
	os.Remove(f.Name()) // where that cannot be done while it is open it stays until the next start of the machine
	if _, err := f.WriteAt(j.mem[:j.size], 0); err != nil {
		return errors.Join(err, f.Close())
	}
	j.mem, j.file = nil, f
	return nil
}

func (j *journal) Truncate(size int64) error {
	if j.file != nil {
		if err := j.file.Truncate(size); err != nil {
			return err
		}
	}
	j.size = min(j.size, size)
	return nil
}

func (j *journal) Size() (int64, error) { return j.size, nil }

func (j *journal) Sync(vfs.SyncFlag) error { return nil }

func (j *journal) Lock(vfs.LockLevel) error { return nil }

func (j *journal) Unlock(vfs.LockLevel) error { return nil }

func (j *journal) CheckReservedLock() (bool, error) { return false, nil }

func (j *journal) SectorSize() int { return 0 }

func (j *journal) DeviceCharacteristics() vfs.DeviceCharacteristic {
	return vfs.IOCAP_POWERSAFE_OVERWRITE | vfs.IOCAP_SAFE_APPEND
}
