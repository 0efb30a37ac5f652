package index

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/litefs-s3/litefs-s3/objstore"
)

// ErrNotNext: a file that was to be adopted does not follow the head.
var ErrNotNext = errors.New("file does not follow the head")

// Adopt makes f the head: an L0 file that this process has just put, whose bytes it still has in body. It takes no
// request. f.ETag is the one that Put returned.
//
// The head must be the transaction before f, as the writer knew it when it made the file: else the error is ErrNotNext. A poll that
// met the same file first did the same thing already, and a poll that comes later asks for the file after it: so
// neither reads it again.
func (t *Tracker) Adopt(ctx context.Context, f File, body io.ReaderAt) (*View, error) {
	l, err := loadFile(ctx, bodyReader{body, f}, &f)
	if err != nil {
		return nil, err
	}
	if err := t.takeTurn(ctx); err != nil {
		return nil, err
	}
	defer t.giveTurn()
	cur := t.View()
	if cur.TXID == f.Max && cur.table.Load().uses(&f) {
		return cur, nil
	}
	if f.Level != 0 || cur.TXID+1 != f.Min || f.Min != f.Max {
		return nil, fmt.Errorf("%s: the head is at txid %s: %w", &f, cur.TXID, ErrNotNext)
	}
	if l.seg.pageSize != cur.PageSize {
		return nil, fmt.Errorf("%s has pages of %d bytes, the replica of %d: %w", &f, l.seg.pageSize, cur.PageSize, ErrCorrupt)
	}
	t.segments.put(l.seg)
	v := newView(cur.table.Load().extend(l.seg), cur.History)
	t.noteKnown(v.TXID)
	t.adopted = time.Now()
	t.certain = t.adopted
	t.publish(v, wholeBody(body, &f, l.blobs))
	return v, nil
}

// adoptedWhole is how large a file may be, in bytes, whose pages are all given to those who keep pages: they are at hand.
const adoptedWhole = 16 << 20

// wholeBody returns all of a file as one blob, or the blobs that loading it has brought when it is large.
func wholeBody(body io.ReaderAt, f *File, brought []Blob) []Blob {
	if f.Size > adoptedWhole {
		return brought
	}
	data := make([]byte, f.Size)
	if n, err := body.ReadAt(data, 0); n < len(data) && err != nil {
		return brought
	}
	return []Blob{{File: f, Data: data}}
}

// bodyReader gives the bytes of one file that is at hand to what reads from a store.
type bodyReader struct {
	body io.ReaderAt
	file File
}

func (r bodyReader) ReadAt(_ context.Context, _ objstore.Ref, p []byte, off int64) error {
	if n, err := r.body.ReadAt(p, off); n < len(p) {
		return fmt.Errorf("bytes %d to %d of %d: %w", off, off+int64(len(p)), r.file.Size, errors.Join(objstore.ErrShortObject, err))
	}
	return nil
}

func (r bodyReader) ReadPrefix(ctx context.Context, ref objstore.Ref, n int64) (objstore.Part, error) {
	return r.part(ctx, ref, 0, min(n, r.file.Size))
}

func (r bodyReader) ReadSuffix(ctx context.Context, ref objstore.Ref, n int64) (objstore.Part, error) {
	n = min(n, r.file.Size)
	return r.part(ctx, ref, r.file.Size-n, n)
}

func (r bodyReader) part(ctx context.Context, ref objstore.Ref, off, n int64) (objstore.Part, error) {
	p := objstore.Part{Data: make([]byte, n), Off: off, Size: r.file.Size, ETag: r.file.ETag}
	return p, r.ReadAt(ctx, ref, p.Data, off)
}
