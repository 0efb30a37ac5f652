package index

import (
	"context"
	"iter"
	"time"

	"github.com/litefs-s3/litefs-s3/objstore"
)

// Layout is what one LTX file says of itself: its header, and where each of its frames lies. It is for those who look at
// files one by one, whatever Views use them.
type Layout struct{ seg *segment }

// ReadLayout fetches header and index of a listed file: one request when the file is small, else two or more. What cannot
// be right is ErrCorrupt.
func ReadLayout(ctx context.Context, r objstore.RangeReader, f *File) (*Layout, error) {
	l, err := loadFile(ctx, r, f)
	if err != nil {
		return nil, err
	}
	return &Layout{l.seg}, nil
}

// ParseLayout is ReadLayout for a file whose bytes are all in memory.
func ParseLayout(f *File, data []byte) (*Layout, error) {
	own := *f
	l, err := parseWhole(&own, data)
	if err != nil {
		return nil, err
	}
	return &Layout{l.seg}, nil
}

// File is the file.
func (l *Layout) File() *File { return l.seg.file }

// PageSize is the size of a decoded page in bytes.
func (l *Layout) PageSize() uint32 { return l.seg.pageSize }

// Commit is the size of the database after the file, in pages.
func (l *Layout) Commit() uint32 { return l.seg.commit }

// Time is that of the file's last transaction, by the writer's clock.
func (l *Layout) Time() time.Time { return time.UnixMilli(l.seg.timestamp).UTC() }

// Len is the number of frames.
func (l *Layout) Len() int { return l.seg.n }

// Complete reports whether the file holds every page of the database.
func (l *Layout) Complete() bool { return l.seg.dense() }

// Has reports whether the file holds page pgno.
func (l *Layout) Has(pgno uint32) bool {
	_, ok := l.seg.find(pgno)
	return ok
}

// Pgnos yields the pages that the file holds, ascending.
func (l *Layout) Pgnos() iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for i := range l.seg.n {
			if !yield(l.seg.pgno(i)) {
				return
			}
		}
	}
}

// Frames yields the frames in the order in which they lie in the file, each with its page.
func (l *Layout) Frames() iter.Seq2[uint32, Frame] {
	return func(yield func(uint32, Frame) bool) {
		off := int64(0)
		if l.seg.n > 0 {
			off, _ = l.seg.span(0)
		}
		for i := range l.seg.n {
			size := l.seg.size(i)
			if !yield(l.seg.pgno(i), Frame{File: l.seg.file, Off: off, Size: size}) {
				return
			}
			off += size
		}
	}
}
