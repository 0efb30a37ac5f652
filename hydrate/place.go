package hydrate

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/litefs-s3/litefs-s3/internal/filelock"
)

// place is the database file of a copy: open, and locked for as long as it is.
type place struct {
	file *os.File
	path string
	dir  string // to be removed with all that is in it; empty for a path that was asked for
}

const (
	tempPattern = "litefs-s3-copy-*"
	tempName    = "copy.db"
	// tempGrace is how old a directory without a file must be before nobody can be about to put one there.
	tempGrace = time.Hour
)

// openPlace opens and locks the file at path, or a temporary one when path is empty.
func openPlace(path string) (place, error) {
	if path == "" {
		return openTemporary()
	}
	f, err := openLocked(path)
	if err != nil {
		return place{}, fmt.Errorf("local copy %s: %w", path, err)
	}
	return place{file: f, path: path}, nil
}

// openLocked opens the file at path, makes it if need be, and locks it.
func openLocked(path string) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, err
		}
		if err := filelock.Lock(f); errors.Is(err, filelock.ErrLocked) {
			return nil, errors.Join(ErrInUse, f.Close())
		} else if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		if isAt(f, path) {
			return f, nil
		}
		f.Close() // removed between the two steps
	}
}

func isAt(f *os.File, path string) bool {
	mine, err1 := f.Stat()
	there, err2 := os.Stat(path)
	return err1 == nil && err2 == nil && os.SameFile(mine, there)
}

func openTemporary() (place, error) {
	dir, err := os.MkdirTemp("", tempPattern)
	if err != nil {
		return place{}, fmt.Errorf("temporary local copy: %w", err)
	}
	path := filepath.Join(dir, tempName)
	f, err := openLocked(path)
	if err != nil {
		return place{}, errors.Join(fmt.Errorf("temporary local copy %s: %w", path, err), os.RemoveAll(dir))
	}
	return place{file: f, path: path, dir: dir}, nil
}

// close gives the lock back, and removes what is temporary.
func (p place) close() error {
	filelock.Unlock(p.file)
	if p.dir == "" {
		return p.file.Close()
	}
	return errors.Join(p.file.Close(), os.RemoveAll(p.dir))
}

// sweepTemporary removes temporary copies whose owners are gone.
func sweepTemporary(log *slog.Logger) {
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), tempPattern)) // the pattern is a good one
	for _, dir := range dirs {
		if removeOrphan(dir) {
			log.Info("temporary local copy of a process that is gone removed", slog.String("path", dir))
		}
	}
}

// removeOrphan removes a temporary copy that nobody has locked.
func removeOrphan(dir string) bool {
	path := filepath.Join(dir, tempName)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		info, err := os.Stat(dir)
		return err == nil && time.Since(info.ModTime()) > tempGrace && os.Remove(dir) == nil // only if it is empty
	}
	if err != nil {
		return false
	}
	if filelock.Lock(f) != nil {
		f.Close()
		return false
	}
	f.Close()
	return os.Remove(path) == nil && os.Remove(dir) == nil
}
