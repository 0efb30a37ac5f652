package reply

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/litefs-s3/litefs-s3/objstore"
)

// WholeLimit is the largest object read whole from a server that does not serve ranges, in bytes.
const WholeLimit = 4 << 20

// Answer is what a server said to a GET for a range of an object.
type Answer struct {
	ContentRange string // the header; empty when the server sends the whole object
	Length       int64  // of the body by Content-Length; negative if not known
	ETag         string // without quotes
	Body         io.Reader
}

// span is a piece of an object: bytes [off, off+n) of size.
type span struct{ off, n, size int64 }

// ReadAt fills p with bytes [off, off+len(p)) of the object, from an answer to a request for them.
func (a *Answer) ReadAt(p []byte, off int64) error {
	got, err := a.span(int64(len(p)), off)
	if err != nil {
		return err
	}
	if off+int64(len(p)) > got.size {
		return fmt.Errorf("bytes %d to %d of %d: %w", off, off+int64(len(p)), got.size, objstore.ErrShortObject)
	}
	if got.off > off || got.off+got.n < off+int64(len(p)) || (a.ContentRange != "" && got.n != int64(len(p))) {
		return fmt.Errorf("bytes %d to %d came instead of %d to %d: %w",
			got.off, got.off+got.n, off, off+int64(len(p)), objstore.ErrTemporary)
	}
	if _, err := io.CopyN(io.Discard, a.Body, off-got.off); err != nil {
		return cut(err)
	}
	if _, err := io.ReadFull(a.Body, p); err != nil {
		return cut(err)
	}
	return a.checkEnd(got.off + got.n - off - int64(len(p)))
}

// Suffix returns the last n bytes of the object, from an answer to a request for them.
func (a *Answer) Suffix(n int64) (objstore.Part, error) {
	return a.part(n, func(size int64) int64 { return max(0, size-n) })
}

// Prefix returns the first n bytes of the object, from an answer to a request for them.
func (a *Answer) Prefix(n int64) (objstore.Part, error) {
	return a.part(n, func(int64) int64 { return 0 })
}

func (a *Answer) part(n int64, from func(size int64) int64) (objstore.Part, error) {
	got, err := a.span(-1, 0)
	if err != nil {
		return objstore.Part{}, err
	}
	off := from(got.size)
	n = min(n, got.size-off)
	if got.off > off || got.off+got.n < off+n || (a.ContentRange != "" && got.n != n) {
		return objstore.Part{}, fmt.Errorf("bytes %d to %d of %d came instead of %d to %d: %w",
			got.off, got.off+got.n, got.size, off, off+n, objstore.ErrTemporary)
	}
	if _, err := io.CopyN(io.Discard, a.Body, off-got.off); err != nil {
		return objstore.Part{}, cut(err)
	}
	data, err := readExactly(a.Body, n)
	if err != nil {
		return objstore.Part{}, err
	}
	if err := a.checkEnd(got.off + got.n - off - n); err != nil {
		return objstore.Part{}, err
	}
	return objstore.Part{Data: data, Off: off, Size: got.size, ETag: a.ETag}, nil
}

// span says what the body is. Without a Content-Range it is the whole object, which may be read up to WholeLimit, or
// as far as it was asked for: want bytes from byte off, if want is not negative.
func (a *Answer) span(want, off int64) (span, error) {
	if a.ContentRange != "" {
		return a.partialSpan()
	}
	if a.Length < 0 {
		if err := a.measure(); err != nil {
			return span{}, err
		}
	}
	if a.Length > WholeLimit && (off != 0 || want != a.Length) {
		return span{}, fmt.Errorf("the server sends all %d bytes instead of the range, more than the %d that are read for it;"+
			" use a server that honours Range: %w", a.Length, int64(WholeLimit), objstore.ErrUnsupported)
	}
	return span{n: a.Length, size: a.Length}, nil
}

// measure takes a body of unknown length into memory.
func (a *Answer) measure() error {
	data, err := io.ReadAll(io.LimitReader(a.Body, WholeLimit+1))
	if err != nil {
		return cut(err)
	}
	a.Length, a.Body = int64(len(data)), bytes.NewReader(data)
	return nil
}

func (a *Answer) partialSpan() (span, error) {
	got, ok := parseContentRange(a.ContentRange)
	if !ok {
		return span{}, fmt.Errorf("Content-Range %.60q makes no sense: %w", a.ContentRange, objstore.ErrTemporary)
	}
	if a.Length >= 0 && a.Length != got.n {
		return span{}, fmt.Errorf("the body has %d bytes and Content-Range says %d: %w", a.Length, got.n, objstore.ErrTemporary)
	}
	return got, nil
}

// checkEnd wants rest more bytes in the body: none, as a rule, so that the connection can be used again.
func (a *Answer) checkEnd(rest int64) error {
	if rest > 0 {
		return nil // of a whole object; not worth reading
	}
	if n, _ := io.CopyN(io.Discard, a.Body, 1); n > 0 {
		return fmt.Errorf("the body is longer than announced: %w", objstore.ErrTemporary)
	}
	return nil
}

// parseContentRange reads "bytes 0-9/100". MinIO says "bytes 0--1/0" of an empty object.
func parseContentRange(header string) (span, bool) {
	rest, ok := strings.CutPrefix(header, "bytes ")
	if !ok {
		return span{}, false
	}
	interval, total, _ := strings.Cut(rest, "/")
	size, err := strconv.ParseInt(total, 10, 64)
	if err != nil || size < 0 {
		return span{}, false
	}
	if size == 0 {
		return span{}, true
	}
	first, last, _ := strings.Cut(interval, "-")
	from, err1 := strconv.ParseInt(first, 10, 64)
	to, err2 := strconv.ParseInt(last, 10, 64)
	if err1 != nil || err2 != nil || from < 0 || to < from || to >= size {
		return span{}, false
	}
	return span{off: from, n: to - from + 1, size: size}, true
}

// readExactly reads n bytes. It takes memory as they come, because n is only what somebody claims.
func readExactly(r io.Reader, n int64) ([]byte, error) {
	const atOnce = 8 << 20
	data := make([]byte, 0, min(n, atOnce))
	for int64(len(data)) < n {
		have := len(data)
		data = append(data, make([]byte, min(n-int64(have), atOnce))...)
		if _, err := io.ReadFull(r, data[have:]); err != nil {
			return nil, cut(err)
		}
	}
	return data, nil
}

// cut is the error of a body that ended early or failed.
func cut(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("the body was cut: %w", objstore.ErrTemporary)
	}
	return err
}
