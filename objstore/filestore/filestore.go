package filestore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/litefs-s3/litefs-s3/objstore"
)

// Store is a directory. Its methods are safe for concurrent use, also by several processes.
type Store struct {
	dir  string // absolute
	gate chan struct{}

	mu      sync.Mutex
	settled bool            // the directory shows its layout; guarded by mu
	layout  Layout          // guarded by mu
	swept   map[string]bool // directories rid of temporary files of crashed processes; guarded by mu
}

var _ objstore.Store = (*Store)(nil)

// Open returns the store in dir, in the layout that dir has. An empty dir, or one that is not there yet, counts as
// S3Like until it shows something else. A dir that has both layouts is an error.
func Open(dir string) (*Store, error) {
	absolute, err := filepath.Abs(dir)
	if err != nil || dir == "" {
		return nil, fmt.Errorf("open directory %q: it is not a path", dir)
	}
	if info, err := os.Stat(absolute); err == nil && !info.IsDir() {
		return nil, fmt.Errorf("open directory %s: it is a file; a replica is a directory of LTX files", absolute)
	}
	s := &Store{dir: absolute, gate: make(chan struct{}, 1), swept: make(map[string]bool)}
	if _, err := s.currentLayout(); err != nil {
		return nil, fmt.Errorf("open directory %s: %w", absolute, err)
	}
	return s, nil
}

// Create makes dir, if need be, and returns the store in it. A dir that has another layout already is an error.
func Create(dir string, layout Layout) (*Store, error) {
	absolute, err := filepath.Abs(dir)
	if err != nil || dir == "" {
		return nil, fmt.Errorf("create directory %q: it is not a path", dir)
	}
	marker := absolute
	if layout == Litestream {
		marker = filepath.Join(absolute, "ltx", "0") // so that Open will know
	}
	if found, ok, err := detect(absolute); err == nil && ok && found != layout {
		return nil, fmt.Errorf("create directory %s: it has the %v layout already, not the %v one", absolute, found, layout)
	}
	if err := makeDir(marker); err != nil {
		return nil, fmt.Errorf("create directory %s: %w", absolute, err)
	}
	return Open(absolute)
}

// missingError is a directory that is not there: what objstore calls a bucket.
type missingError string

func (e missingError) Error() string {
	return "directory " + string(e) + " is not there; make it, or mend its name"
}

func (e missingError) Unwrap() error { return objstore.ErrNoBucket }

// Dir returns the absolute path of the directory.
func (s *Store) Dir() string { return s.dir }

// Layout returns the layout in use.
func (s *Store) Layout() Layout {
	layout, _ := s.currentLayout() // whose error, once Open has had none, says nothing about the layout in use
	return layout
}

// currentLayout looks at the directory as long as that has not shown its layout.
func (s *Store) currentLayout() (Layout, error) {
	s.mu.Lock()
	settled, layout := s.settled, s.layout
	s.mu.Unlock()
	if settled {
		return layout, nil
	}
	layout, found, err := detect(s.dir)
	if err != nil {
		return layout, err
	}
	if found {
		s.settle(layout)
	}
	return layout, nil
}

func (s *Store) settle(layout Layout) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.layout, s.settled = layout, true
}

// path returns the file of a key.
func (s *Store) path(ctx context.Context, key string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	layout, err := s.currentLayout()
	if err != nil {
		return "", err
	}
	return layout.path(s.dir, key)
}

// fail turns an error of the file system into the error of op on key.
func (s *Store) fail(op, key string, err error) error {
	switch {
	case errors.Is(err, objstore.ErrNotFound):
	case isMissing(err):
		err = s.missing()
	case errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS):
		err = fmt.Errorf("%w: %w", objstore.ErrAccess, err)
	case errors.Is(err, syscall.ENOSPC):
		err = fmt.Errorf("%w: %w", objstore.ErrTemporary, err)
	}
	return &objstore.OpError{Op: op, Key: key, Err: err}
}

// isMissing says whether there is no file: nothing at all, or a directory on its way that is a file.
func isMissing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// missing tells a missing file from a missing directory.
func (s *Store) missing() error {
	if _, err := os.Stat(s.dir); errors.Is(err, fs.ErrNotExist) {
		return missingError(s.dir)
	}
	return objstore.ErrNotFound
}
