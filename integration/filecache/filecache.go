package filecache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// lockPoll is the time between two attempts at a lock that another process holds.
const lockPoll = 100 * time.Millisecond

// Dir is the directory that holds the cached files: litefs-s3 in the user's cache directory.
func Dir() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no place for cached files, set XDG_CACHE_HOME: %w", err)
	}
	return filepath.Join(base, "litefs-s3"), nil
}

// File returns the path of the cached file called name, a slash-separated path below [Dir]. When it is not there, fill
// writes it to tmp in the same directory, and it appears under its name complete or not at all. One process at a time
// makes a file; others that want the same one wait for it or for ctx. Callers must not change the file.
func File(ctx context.Context, name string, fill func(ctx context.Context, tmp string) error) (string, error) {
	dir, err := Dir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, filepath.FromSlash(name))
	if exists(path) {
		return path, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", fmt.Errorf("cache directory: %w", err)
	}
	unlock, err := lock(ctx, path+".lock")
	if err != nil {
		return "", fmt.Errorf("wait for %s: %w", path, err)
	}
	defer unlock()
	if exists(path) { // the process we waited for made it
		return path, nil
	}
	if err := publish(ctx, path, fill); err != nil {
		return "", fmt.Errorf("make %s: %w", path, err)
	}
	return path, nil
}

// publish runs fill on a temporary name and gives the result its name. The caller holds the lock of path.
func publish(ctx context.Context, path string, fill func(ctx context.Context, tmp string) error) error {
	tmp := path + ".partial"
	if err := removeIfThere(tmp); err != nil { // left by a run that was killed
		return err
	}
	if err := fill(ctx, tmp); err != nil {
		return errors.Join(err, removeIfThere(tmp))
	}
	return os.Rename(tmp, path)
}

// lock takes the lock file at path, waiting until ctx ends. The file stays: deleting it would let two hold it.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		ok, err := tryLock(f)
		switch {
		case err != nil:
			f.Close()
			return nil, err
		case ok:
			return func() { f.Close() }, nil // closing drops the lock
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, context.Cause(ctx)
		case <-time.After(lockPoll):
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func removeIfThere(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
