package reply

import (
	"context"
	"errors"
	"fmt"

	"github.com/litefs-s3/litefs-s3/objstore"
)

// Get sends one GET for a range of an object, written as in a Range header, or for all of it if the range is empty, and hands the
// answer to take when it is a success. It tells errors as the store's callers see them; a range that begins behind the object's end
// is objstore.ErrShortObject. With it a backend has all of objstore.RangeReader.
type Get func(ctx context.Context, ref objstore.Ref, bytesRange string, take func(*Answer) error) error

// ReadAt is that of objstore.RangeReader, with one GET.
func (get Get) ReadAt(ctx context.Context, ref objstore.Ref, p []byte, off int64) error {
	if err := check(ref, objstore.ValidateRange(off, int64(len(p)))); err != nil || len(p) == 0 {
		return err
	}
	bytesRange := fmt.Sprintf("bytes=%d-%d", off, off+int64(len(p))-1)
	return get(ctx, ref, bytesRange, func(a *Answer) error { return a.ReadAt(p, off) })
}

// ReadSuffix is that of objstore.RangeReader, with one GET, or two if the object is empty.
func (get Get) ReadSuffix(ctx context.Context, ref objstore.Ref, n int64) (objstore.Part, error) {
	return get.part(ctx, ref, n, fmt.Sprintf("bytes=-%d", n), (*Answer).Suffix)
}

// ReadPrefix is that of objstore.RangeReader, with one GET, or two if the object is empty.
func (get Get) ReadPrefix(ctx context.Context, ref objstore.Ref, n int64) (objstore.Part, error) {
	return get.part(ctx, ref, n, fmt.Sprintf("bytes=0-%d", n-1), (*Answer).Prefix)
}

func (get Get) part(
	ctx context.Context, ref objstore.Ref, n int64, bytesRange string, read func(*Answer, int64) (objstore.Part, error),
) (part objstore.Part, err error) {
	if err := check(ref, objstore.ValidateSpan(n)); err != nil {
		return objstore.Part{}, err
	}
	take := func(a *Answer) error {
		part, err = read(a, n)
		return err
	}
	err = get(ctx, ref, bytesRange, take)
	if errors.Is(err, objstore.ErrShortObject) {
		err = get(ctx, ref, "", take) // there is no range of an empty object
	}
	if err != nil {
		return objstore.Part{}, err
	}
	return part, nil
}

// check returns the error of a request that nobody should be asked, by what is wrong with its range or its key.
func check(ref objstore.Ref, err error) error {
	if err == nil {
		err = objstore.ValidateKey(ref.Key)
	}
	if err != nil {
		return &objstore.OpError{Op: "get", Key: ref.Key, Err: err}
	}
	return nil
}
