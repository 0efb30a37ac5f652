package restore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
)

// tempSuffix is what the name of a database ends with while it is put together.
const tempSuffix = ".restoring"

// sidecars are what SQLite keeps beside a database and would lay over whatever has the database's name.
var sidecars = []string{"-wal", "-shm", "-journal"}

// target is the file that is being put together, and the name that it will have.
type target struct {
	path   string
	file   *os.File // at path + tempSuffix, locked
	how    Existing
	faults faults
	done   bool // the file has its name
}

// openTarget checks that something may be restored to path, and opens the temporary file.
func openTarget(path string, how Existing, f faults) (*target, error) {
	if how != Refuse && how != Replace {
		return nil, fmt.Errorf("restore to %s: what becomes of an existing file is %v; want refuse or replace", path, how)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	t := &target{path: path, how: how, faults: f}
	if err := t.free(); err != nil {
		return nil, err
	}
	if t.file, err = createTemp(path + tempSuffix); err != nil {
		return nil, fmt.Errorf("restore to %s: %w", path, err)
	}
	if info, err := os.Stat(path); err == nil { // whoever could read the old one can read the new one
		if err := t.file.Chmod(info.Mode().Perm()); err != nil {
			return nil, errors.Join(fmt.Errorf("restore to %s: %w", path, err), t.close())
		}
	}
	return t, nil
}

// free returns an error when something is in the way.
func (t *target) free() error {
	info, err := os.Lstat(t.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return fmt.Errorf("restore: %w", err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not an ordinary file; give another path: %w", t.path, ErrExists)
	case t.how == Refuse:
		return fmt.Errorf("%s is already there; give another path, or say that it may be replaced: %w", t.path, ErrExists)
	default:
		return t.idle()
	}
	for _, suffix := range sidecars {
		if _, err := os.Lstat(t.path + suffix); err == nil && t.how == Refuse {
			return fmt.Errorf("%s is left of another database, and SQLite would lay it over the restored one; "+
				"remove it, or say that it may be replaced: %w", t.path+suffix, ErrExists)
		}
	}
	return nil
}

// idle returns ErrInUse when another program has the database open so that SQLite's locks show it.
func (t *target) idle() error {
	f, err := os.OpenFile(t.path, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	defer f.Close()
	defer lockRange(f, unlock, pendingByte, allLockBytes)
	switch err := lockRange(f, lock, pendingByte, allLockBytes); {
	case errors.Is(err, errLocked):
		return fmt.Errorf("%s is open in another program, which would go on with the old file; close it first: %w", t.path, ErrInUse)
	case errors.Is(err, ErrNoLocks):
		return nil
	default:
		return err
	}
}

// createTemp makes the file at path and locks it. What is there was left by a process that was killed, unless it is locked.
func createTemp(path string) (*os.File, error) {
	for {
		if err := removeStale(path); err != nil {
			return nil, err
		}
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, fs.ErrExist) {
			continue // somebody else was faster: removeStale will see its lock
		}
		if err != nil {
			return nil, err
		}
		if err := lockOwner(f); err != nil {
			return nil, errors.Join(err, f.Close())
		}
		if isAt(f, path) {
			return f, nil
		}
		f.Close() // taken for stale before it was locked
	}
}

// removeStale removes the file at path, if there is one and nobody has it locked.
func removeStale(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer closeOwned(f)
	if err := lockOwner(f); err != nil {
		return err
	}
	if !isAt(f, path) {
		return nil
	}
	return os.Remove(path)
}

// lockOwner makes f this process's until it is closed, or returns ErrInUse.
func lockOwner(f *os.File) error {
	err := lockRange(f, lock, ownerByte, 1)
	switch {
	case errors.Is(err, errLocked):
		return fmt.Errorf("%s is being written by another process; wait for it: %w", f.Name(), ErrInUse)
	case errors.Is(err, ErrNoLocks):
		return nil
	}
	return err
}

// closeOwned gives the lock back and closes f. Closing alone is not enough at once: a process that is just being started from this one has
// a copy of f for a moment.
func closeOwned(f *os.File) error {
	_ = lockRange(f, unlock, ownerByte, 1) // that f is closed already is told below
	return f.Close()
}

func isAt(f *os.File, path string) bool {
	mine, err1 := f.Stat()
	there, err2 := os.Lstat(path)
	return err1 == nil && err2 == nil && os.SameFile(mine, there)
}

// publish flushes the file and gives it its name.
func (t *target) publish() error {
	if err := t.step("sync", t.file.Sync); err != nil {
		return err
	}
	if err := t.free(); err != nil { // once more: a long time has passed
		return err
	}
	if t.how == Replace {
		if err := t.clear(); err != nil {
			return err
		}
	}
	if runtime.GOOS == "windows" { // an open file cannot be renamed there
		if err := closeOwned(t.file); err != nil {
			return err
		}
	}
	err := t.step("rename", t.rename)
	if err != nil {
		return err
	}
	t.done = true
	return t.step("sync directory", func() error { return syncDir(filepath.Dir(t.path)) })
}

// rename gives the file its name. Unless it may replace others it takes no name that is taken in this very moment.
func (t *target) rename() error {
	temp := t.path + tempSuffix
	if t.how == Refuse {
		err := os.Link(temp, t.path)
		if err == nil {
			return os.Remove(temp)
		}
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%s has come into being meanwhile: %w", t.path, ErrExists)
		}
		// A file system without links: free has looked.
	}
	return os.Rename(temp, t.path)
}

// clear removes the old database when something belongs to it that SQLite would lay over the new one, and that, the database first:
// without its journal it would be a broken one. Else it stays until the new one takes its name, in one step.
func (t *target) clear() error {
	if !t.accompanied() {
		return nil
	}
	err := t.step("remove", func() error { return remove(t.path) })
	for _, suffix := range sidecars {
		if err == nil {
			err = t.step("remove"+suffix, func() error { return remove(t.path + suffix) })
		}
	}
	if err == nil {
		err = t.step("sync directory", func() error { return syncDir(filepath.Dir(t.path)) })
	}
	return err
}

// accompanied reports whether anything of SQLite's lies beside the old database.
func (t *target) accompanied() bool {
	return slices.ContainsFunc(sidecars, func(suffix string) bool {
		_, err := os.Lstat(t.path + suffix)
		return !errors.Is(err, fs.ErrNotExist)
	})
}

// remove removes a file that need not be there.
func remove(path string) error {
	err := os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// step does something to files, unless a test wants it to fail.
func (t *target) step(op string, do func() error) error {
	if err := t.faults.check(op); err != nil {
		return fmt.Errorf("restore to %s: %s: %w", t.path, op, err)
	}
	if err := do(); err != nil {
		return fmt.Errorf("restore to %s: %w", t.path, err)
	}
	return nil
}

// close closes the file, and removes it if it has not got its name.
func (t *target) close() error {
	var err error
	if !t.done {
		err = remove(t.path + tempSuffix) // while it is still locked, if the system lets us
	}
	cerr := closeOwned(t.file)
	if err != nil {
		err = remove(t.path + tempSuffix)
	}
	if errors.Is(cerr, os.ErrClosed) {
		cerr = nil
	}
	return errors.Join(err, cerr)
}
