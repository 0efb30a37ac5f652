package filestore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/litefs-s3/litefs-s3/objstore"
)

// ReadAt implements objstore.RangeReader.
func (s *Store) ReadAt(ctx context.Context, ref objstore.Ref, p []byte, off int64) error {
	if err := objstore.ValidateRange(off, int64(len(p))); err != nil {
		return s.fail("get", ref.Key, err)
	}
	if len(p) == 0 {
		return nil
	}
	f, info, err := s.open(ctx, ref)
	if err != nil {
		return s.fail("get", ref.Key, err)
	}
	defer f.Close()
	if off+int64(len(p)) > info.Size() {
		return s.fail("get", ref.Key, fmt.Errorf("bytes %d to %d of %d: %w",
			off, off+int64(len(p)), info.Size(), objstore.ErrShortObject))
	}
	if err := readFull(f, p, off); err != nil {
		return s.fail("get", ref.Key, err)
	}
	return nil
}

// ReadSuffix implements objstore.RangeReader.
func (s *Store) ReadSuffix(ctx context.Context, ref objstore.Ref, n int64) (objstore.Part, error) {
	return s.readPart(ctx, ref, n, func(size int64) (from, to int64) { return max(0, size-n), size })
}

// ReadPrefix implements objstore.RangeReader.
func (s *Store) ReadPrefix(ctx context.Context, ref objstore.Ref, n int64) (objstore.Part, error) {
	return s.readPart(ctx, ref, n, func(size int64) (from, to int64) { return 0, min(n, size) })
}

func (s *Store) readPart(ctx context.Context, ref objstore.Ref, n int64, span func(size int64) (from, to int64)) (
	objstore.Part, error,
) {
	if err := objstore.ValidateSpan(n); err != nil {
		return objstore.Part{}, s.fail("get", ref.Key, err)
	}
	f, info, err := s.open(ctx, ref)
	if err != nil {
		return objstore.Part{}, s.fail("get", ref.Key, err)
	}
	defer f.Close()
	from, to := span(info.Size())
	data := make([]byte, to-from)
	if err := readFull(f, data, from); err != nil {
		return objstore.Part{}, s.fail("get", ref.Key, err)
	}
	return objstore.Part{Data: data, Off: from, Size: info.Size(), ETag: etagOf(info)}, nil
}

// open opens the file of ref in the version ref asks for. Since files are replaced and never written to, what is open
// stays that version.
func (s *Store) open(ctx context.Context, ref objstore.Ref) (*os.File, fs.FileInfo, error) {
	path, err := s.path(ctx, ref.Key)
	if err != nil {
		return nil, nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	switch {
	case err == nil && !info.Mode().IsRegular():
		err = objstore.ErrNotFound // a directory, as a rule
	case err == nil && ref.ETag != "" && etagOf(info) != ref.ETag:
		err = fmt.Errorf("its etag is %s, not %s: %w", etagOf(info), ref.ETag, objstore.ErrChanged)
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, info, nil
}

func readFull(f *os.File, p []byte, off int64) error {
	n, err := f.ReadAt(p, off)
	if n < len(p) && err == io.EOF {
		return fmt.Errorf("the file shrank while it was read: %w", objstore.ErrShortObject)
	}
	if n < len(p) {
		return err
	}
	return nil
}

// etagOf is opaque, and different for each version of a file.
func etagOf(info fs.FileInfo) string {
	return fmt.Sprintf("%x-%x-%x", info.ModTime().UnixNano(), info.Size(), inodeOf(info))
}
