package merge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
)

const (
	// wholeSize is the size in bytes up to which an input is fetched whole, with one request, and kept here until the
	// merge is over. Larger ones are read in ranges.
	wholeSize = 8 << 20
	// inMemory is how many bytes of whole inputs are kept in memory; those beyond lie in a temporary file.
	inMemory = 16 << 20
	// smallAtOnce bounds how many inputs are fetched whole at once, and underWay how many bytes of them.
	smallAtOnce = 16
	underWay    = 24 << 20
	// requestsAtOnce bounds requests that run side by side.
	requestsAtOnce = 4
)

// local is a whole file that was fetched. It is an index.Bytes that knows one object.
type local struct {
	data io.ReaderAt
	size int64
}

func (l *local) ReadAt(_ context.Context, ref objstore.Ref, p []byte, off int64) error {
	if off < 0 || off+int64(len(p)) > l.size {
		return &objstore.OpError{Op: "get", Key: ref.Key, Err: objstore.ErrShortObject}
	}
	if _, err := l.data.ReadAt(p, off); err != nil {
		return fmt.Errorf("temporary copy of %s: %w", ref.Key, err)
	}
	return nil
}

// spool keeps whole inputs: the first few in memory, the others in one temporary file.
type spool struct {
	dir    string
	file   *os.File
	size   int64 // of the file
	memory int64 // bytes kept in memory
}

// place makes room for an input of size bytes. It returns the local copy to be, and where to put it: into memory that is returned
// as well, or with WriteAt.
func (s *spool) place(size int64) (_ *local, memory []byte, to io.WriterAt, err error) {
	if s.memory+size <= inMemory {
		s.memory += size
		memory = make([]byte, size)
		return &local{data: bytes.NewReader(memory), size: size}, memory, nil, nil
	}
	if s.file == nil {
		if s.file, err = newTemp(s.dir, "inputs"); err != nil {
			return nil, nil, nil, err
		}
	}
	off := s.size
	s.size += size
	return &local{data: io.NewSectionReader(s.file, off, size), size: size}, nil, io.NewOffsetWriter(s.file, off), nil
}

func (s *spool) close() error { return removeTemp(s.file) }

// fetchWhole fetches the small inputs, checks them from the first byte to the last, and makes their local copies the
// place they are read from.
func (s *spool) fetchWhole(ctx context.Context, inputs []*input) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(smallAtOnce)
	room := semaphore.NewWeighted(underWay)
	for _, in := range inputs {
		if in.file.Size > wholeSize {
			continue
		}
		copied, data, to, err := s.place(in.file.Size)
		if err != nil {
			return errors.Join(err, g.Wait())
		}
		from := in.source
		in.source, in.readOver = copied, 0
		g.Go(func() error {
			if err := room.Acquire(ctx, in.file.Size); err != nil {
				return err
			}
			defer room.Release(in.file.Size)
			return fetchOne(ctx, from, in.file, data, to)
		})
	}
	return g.Wait()
}

// fetchOne fetches and checks one input: into data, or where that is nil to a place in the temporary file.
func fetchOne(ctx context.Context, from index.Bytes, f *index.File, data []byte, to io.WriterAt) error {
	if to != nil {
		data = make([]byte, f.Size)
	}
	if err := from.ReadAt(ctx, f.Ref(), data, 0); err != nil {
		return fmt.Errorf("%s: %w", f, err)
	}
	if err := checkWhole(ctx, f, data); err != nil || to == nil {
		return err
	}
	if _, err := to.WriteAt(data, 0); err != nil {
		return fmt.Errorf("temporary copy of %s: %w", f, err)
	}
	return nil
}

// checkWhole checks a file that is in memory.
func checkWhole(ctx context.Context, f *index.File, data []byte) error {
	_, err := verify(ctx, &local{data: bytes.NewReader(data), size: int64(len(data))}, f, nil, nil)
	return err
}

// newTemp returns a temporary file in dir, which is the system's directory for such files when it is empty.
func newTemp(dir, what string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "litefs-s3-compact-"+what+"-*")
	if err != nil {
		return nil, fmt.Errorf("temporary file for %s; choose a directory with room: %w", what, err)
	}
	_ = os.Remove(f.Name()) // where the system allows it nothing is left behind even when the process is killed
	return f, nil
}

// removeTemp closes and removes a temporary file; nil is none.
func removeTemp(f *os.File) error {
	if f == nil {
		return nil
	}
	err := f.Close()
	if rm := os.Remove(f.Name()); err == nil && !errors.Is(rm, fs.ErrNotExist) {
		err = rm
	}
	return err
}
