package hydrate

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
)

// stateSuffix is what the state file's name has beyond that of the database.
const stateSuffix = "-hydration"

// maxJournal is how long a journal may become, in bytes, before a new snapshot takes its place.
const maxJournal = 1 << 20

// ledger is the state file, and what this process knows of it. It is the owner's.
type ledger struct {
	path   string
	faults faults

	saved  *bitmap  // what the file calls present, or may
	behind bool     // the file is not known to be what saved says: nothing may be written before a rewrite
	file   *os.File // to append records to; nil when there is none, and a rewrite must come first
	size   int64    // bytes of records
	sum    uint32   // checksum of what is in the file
}

func newLedger(path string, f faults) *ledger {
	return &ledger{path: path, faults: f, saved: newBitmap(0), behind: true}
}

// load returns what the state file says. A file that is not there is fs.ErrNotExist.
func (l *ledger) load() (*state, error) {
	b, err := os.ReadFile(l.path)
	if err != nil {
		return nil, err
	}
	return decodeState(b)
}

// rewrite replaces the state file. Until it has succeeded nothing may be written.
func (l *ledger) rewrite(s state) error {
	l.behind = true
	b := s.encode()
	err := l.faults.check("state")
	if err == nil {
		err = writeFile(l.path+"-new", b)
	}
	if err != nil {
		return fmt.Errorf("write the state of the local copy: %w", err)
	}
	l.close() // a file that is open cannot be replaced everywhere
	if err := os.Rename(l.path+"-new", l.path); err != nil {
		return fmt.Errorf("replace the state of the local copy: %w", err)
	}
	if err := syncDir(filepath.Dir(l.path)); err != nil {
		return fmt.Errorf("flush the state of the local copy: %w", err)
	}
	l.saved = s.present.copyFor(s.commit)
	l.behind = false
	l.size, l.sum = 0, stateSum(b)
	l.file, _ = os.OpenFile(l.path, os.O_WRONLY|os.O_APPEND, 0) // without it the next change is a rewrite
	return nil
}

// writeFile makes a file whose content is on disk when it returns. One that cannot be finished is removed: it takes room.
func writeFile(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// syncDir makes a rename in dir last, where that can be done.
func syncDir(dir string) error {
	switch runtime.GOOS {
	case "windows", "js", "wasip1":
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// stale returns the pages that the file calls present and present does not.
func (l *ledger) stale(present *bitmap) []uint32 { return slices.Collect(l.saved.without(present)) }

// strike appends a record: the file no longer calls these pages present. ok is false when a rewrite has to do it.
func (l *ledger) strike(pgnos []uint32) (ok bool) {
	if l.behind || l.file == nil || l.size > maxJournal || len(pgnos) > maxJournal {
		return false
	}
	record, sum := appendRecord(nil, l.sum, pgnos)
	err := l.faults.check("journal")
	if err == nil {
		_, err = l.file.Write(record)
	}
	if err == nil {
		err = l.file.Sync()
	}
	if err != nil { // what follows half a record would not be found
		l.close()
		return false
	}
	l.size, l.sum = l.size+int64(len(record)), sum
	for _, pgno := range pgnos {
		l.saved.clear(pgno)
	}
	return true
}

// close lets go of the file. What it says stays what it is.
func (l *ledger) close() {
	if l.file != nil {
		_ = l.file.Close() // everything in it was flushed when it was written
		l.file = nil
	}
}
