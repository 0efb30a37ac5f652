package filestore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/litefs-s3/litefs-s3/objstore"
)

// Put implements objstore.Putter.
func (s *Store) Put(ctx context.Context, key string, body io.ReadSeeker, opts objstore.PutOptions) (string, error) {
	etag, err := s.put(ctx, key, body, opts)
	if err != nil {
		return "", s.fail("put", key, err)
	}
	return etag, nil
}

func (s *Store) put(ctx context.Context, key string, body io.ReadSeeker, opts objstore.PutOptions) (string, error) {
	if err := opts.Validate(); err != nil {
		return "", err
	}
	path, err := s.path(ctx, key)
	if err != nil {
		return "", err
	}
	if err := s.prepare(filepath.Dir(path)); err != nil {
		return "", err
	}
	temp, err := writeTemp(ctx, filepath.Dir(path), body, opts.Timestamp)
	if err != nil {
		return "", err
	}
	if opts.OnlyCreate {
		err = s.create(ctx, temp, path)
	} else {
		err = s.replace(ctx, &temp, path, opts.IfMatch)
	}
	if err != nil {
		return "", errors.Join(err, removeTemp(temp))
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return "", err
	}
	return temp.etag, nil
}

// prepare makes the directory of a file, and rids it once of what crashed processes have left.
func (s *Store) prepare(dir string) error {
	if err := makeDir(dir); err != nil {
		return err
	}
	s.mu.Lock()
	swept := s.swept[dir]
	s.swept[dir] = true
	s.mu.Unlock()
	if swept {
		return nil
	}
	return sweep(dir)
}

// sweep removes temporary files that nobody can be writing any more.
func sweep(dir string) error {
	const abandoned = 24 * time.Hour
	entries, err := readDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		matched, _ := filepath.Match(tempPrefix+"*.tmp", e.Name()) // the pattern is good
		info, err := e.Info()
		if !matched || err != nil || time.Since(info.ModTime()) < abandoned {
			continue
		}
		if err := removeTemp(tempFile{path: filepath.Join(dir, e.Name())}); err != nil {
			return err
		}
	}
	return nil
}

// tempFile is a whole body on disk that has no key yet.
type tempFile struct {
	path string
	etag string // stays the same when the file is moved
}

// writeTemp writes body to a new file in dir, down to the disk.
func writeTemp(ctx context.Context, dir string, body io.ReadSeeker, timestamp time.Time) (temp tempFile, err error) {
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return temp, fmt.Errorf("rewind body: %w", err)
	}
	f, err := os.CreateTemp(dir, tempPrefix+"*.tmp") // mode 0600
	if err != nil {
		return temp, err
	}
	temp.path = f.Name()
	defer func() {
		if err != nil {
			err = errors.Join(err, removeTemp(temp))
		}
	}()
	if timestamp.IsZero() {
		timestamp = time.Now() // the clock of the file system is too coarse for an ETag
	}
	err = fill(ctx, f, body, timestamp)
	if err = errors.Join(err, f.Close()); err != nil {
		return temp, err
	}
	return temp, temp.setTime(timestamp) // again, for systems where closing has set it
}

// fill copies body into f. The time is set before the sync so that it is on the disk as well.
func fill(ctx context.Context, f *os.File, body io.Reader, timestamp time.Time) error {
	if _, err := io.Copy(f, contextReader{ctx, body}); err != nil {
		return err
	}
	if err := os.Chtimes(f.Name(), timestamp, timestamp); err != nil {
		return err
	}
	return f.Sync()
}

// setTime sets the modification time, and with it the ETag.
func (t *tempFile) setTime(at time.Time) error {
	if err := os.Chtimes(t.path, at, at); err != nil {
		return err
	}
	info, err := os.Lstat(t.path)
	if err != nil {
		return err
	}
	t.etag = etagOf(info)
	return nil
}

// contextReader stops when its context ends.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// create gives temp its name if that is free.
func (s *Store) create(ctx context.Context, temp tempFile, path string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := os.Link(temp.path, path)
	switch {
	case err == nil:
		return removeTemp(temp)
	case errors.Is(err, fs.ErrExist):
		return objstore.ErrExists
	}
	return s.createUnlinked(ctx, temp, path)
}

// createUnlinked is for file systems without hard links.
func (s *Store) createUnlinked(ctx context.Context, temp tempFile, path string) error {
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := os.Lstat(path); err == nil {
		return objstore.ErrExists
	} else if !isMissing(err) {
		return err
	}
	return os.Rename(temp.path, path)
}

// replace gives temp its name, whatever has it now, unless that is not the version wanted.
func (s *Store) replace(ctx context.Context, temp *tempFile, path, ifMatch string) error {
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	info, err := os.Lstat(path)
	if err != nil && !isMissing(err) {
		return err
	}
	switch exists := err == nil; {
	case exists && info.IsDir():
		return errors.New("there are objects under the key as a folder; a directory cannot have both")
	case ifMatch != "" && !exists:
		return fmt.Errorf("it is not there any more: %w", objstore.ErrChanged)
	case ifMatch != "" && etagOf(info) != ifMatch:
		return fmt.Errorf("its etag is %s, not %s: %w", etagOf(info), ifMatch, objstore.ErrChanged)
	case exists && etagOf(info) == temp.etag: // a system without inodes and the same Timestamp again
		if err := temp.setTime(info.ModTime().Add(time.Millisecond)); err != nil {
			return err
		}
	}
	return rename(ctx, temp.path, path)
}

// removeTemp removes a file that may have been moved away.
func removeTemp(temp tempFile) error {
	if err := os.Remove(temp.path); err != nil && !isMissing(err) {
		return err
	}
	return nil
}

// makeDir makes a directory and those above it, down to the disk.
func makeDir(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return fmt.Errorf("%s is a file", dir)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := makeDir(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(filepath.Dir(dir))
}

// syncDir makes the names in a directory survive a power failure, where that can be asked for.
func syncDir(dir string) error {
	switch runtime.GOOS {
	case "windows", "js", "wasip1", "plan9":
		return nil
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Delete implements objstore.Deleter.
func (s *Store) Delete(ctx context.Context, keys ...string) error {
	if len(keys) == 0 {
		return nil
	}
	paths := make([]string, len(keys))
	for i, key := range keys {
		var err error
		if paths[i], err = s.path(ctx, key); err != nil {
			return s.fail("delete", key, err)
		}
	}
	if _, err := os.Stat(s.dir); isMissing(err) {
		return s.fail("delete", keys[0], err)
	}
	unlock, err := s.lock(ctx)
	if err != nil {
		return s.fail("delete", keys[0], err)
	}
	defer unlock()
	return s.removeAll(ctx, keys, paths)
}

func (s *Store) removeAll(ctx context.Context, keys, paths []string) error {
	var errs []error
	dirs := make(map[string]bool)
	for i, path := range paths {
		if err := ctx.Err(); err != nil {
			errs = append(errs, s.fail("delete", keys[i], err))
			break
		}
		if info, err := os.Lstat(path); err == nil && info.IsDir() {
			continue // no object
		}
		if err := os.Remove(path); err == nil {
			dirs[filepath.Dir(path)] = true
		} else if !isMissing(err) {
			errs = append(errs, s.fail("delete", keys[i], err))
		}
	}
	for dir := range dirs {
		if err := syncDir(dir); err != nil && !isMissing(err) {
			errs = append(errs, s.fail("delete", keys[0], err))
		}
	}
	return objstore.Join(errs...)
}
