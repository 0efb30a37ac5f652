package s3store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/internal/reply"
)

// ReadAt implements objstore.RangeReader with one GetObject.
func (s *Store) ReadAt(ctx context.Context, ref objstore.Ref, p []byte, off int64) error {
	if err := objstore.ValidateRange(off, int64(len(p))); err != nil {
		return &objstore.OpError{Op: "get", Key: ref.Key, Err: err}
	}
	if len(p) == 0 {
		return nil
	}
	bytesRange := fmt.Sprintf("bytes=%d-%d", off, off+int64(len(p))-1)
	err := s.get(ctx, ref, bytesRange, func(a *reply.Answer) error { return a.ReadAt(p, off) })
	if err != nil {
		return s.fail(ctx, "get", ref.Key, err)
	}
	return nil
}

// ReadSuffix implements objstore.RangeReader with one GetObject, or two if the object is empty.
func (s *Store) ReadSuffix(ctx context.Context, ref objstore.Ref, n int64) (objstore.Part, error) {
	return s.readPart(ctx, ref, n, fmt.Sprintf("bytes=-%d", n), (*reply.Answer).Suffix)
}

// ReadPrefix implements objstore.RangeReader with one GetObject, or two if the object is empty.
func (s *Store) ReadPrefix(ctx context.Context, ref objstore.Ref, n int64) (objstore.Part, error) {
	return s.readPart(ctx, ref, n, fmt.Sprintf("bytes=0-%d", n-1), (*reply.Answer).Prefix)
}

func (s *Store) readPart(
	ctx context.Context, ref objstore.Ref, n int64, bytesRange string, read func(*reply.Answer, int64) (objstore.Part, error),
) (part objstore.Part, err error) {
	if err := objstore.ValidateSpan(n); err != nil {
		return objstore.Part{}, &objstore.OpError{Op: "get", Key: ref.Key, Err: err}
	}
	take := func(a *reply.Answer) error {
		part, err = read(a, n)
		return err
	}
	err = s.get(ctx, ref, bytesRange, take)
	if statusOf(err) == http.StatusRequestedRangeNotSatisfiable {
		err = s.get(ctx, ref, "", take) // there is no range of an empty object
	}
	if err != nil {
		return objstore.Part{}, s.fail(ctx, "get", ref.Key, err)
	}
	return part, nil
}

// get sends one GetObject for a range, or for the whole object if it is empty, and hands the answer to take.
func (s *Store) get(ctx context.Context, ref objstore.Ref, bytesRange string, take func(*reply.Answer) error) error {
	if err := objstore.ValidateKey(ref.Key); err != nil {
		return &ownError{err}
	}
	out, err := call(ctx, s, func(ctx context.Context, client *s3.Client) (*s3.GetObjectOutput, error) {
		return client.GetObject(ctx, s.getInput(ref, bytesRange))
	})
	if err != nil {
		return err
	}
	defer out.Body.Close()
	answer := answerOf(out)
	if ref.ETag != "" && answer.ETag != ref.ETag { // the server knows no If-Match
		return &ownError{fmt.Errorf("its etag is %s, not %s: %w", answer.ETag, ref.ETag, objstore.ErrChanged)}
	}
	if err := take(answer); err != nil {
		return s.bodyError(ctx, err)
	}
	return nil
}

// bodyError keeps what wire says of a body and leaves errors of the network to translate.
func (s *Store) bodyError(ctx context.Context, err error) error {
	for _, known := range []error{objstore.ErrShortObject, objstore.ErrTemporary, objstore.ErrUnsupported} {
		if ctx.Err() == nil && errors.Is(err, known) {
			return &ownError{err}
		}
	}
	return err
}

func (s *Store) getInput(ref objstore.Ref, bytesRange string) *s3.GetObjectInput {
	in := &s3.GetObjectInput{Bucket: &s.cfg.Bucket, Key: &ref.Key, IfMatch: quoted(ref.ETag)}
	if bytesRange != "" {
		in.Range = &bytesRange
	}
	if s.cfg.SSECustomerKey != "" {
		in.SSECustomerAlgorithm = &s.cfg.SSECustomerAlgorithm
		in.SSECustomerKey = &s.cfg.SSECustomerKey
		in.SSECustomerKeyMD5 = &s.cfg.SSECustomerKeyMD5
	}
	return in
}

func answerOf(out *s3.GetObjectOutput) *reply.Answer {
	length := int64(-1)
	if out.ContentLength != nil {
		length = *out.ContentLength
	}
	return &reply.Answer{
		ContentRange: aws.ToString(out.ContentRange),
		Length:       length,
		ETag:         unquoted(out.ETag),
		Body:         io.Reader(out.Body),
	}
}

// quoted returns an ETag as headers have it, or nil if there is none.
func quoted(etag string) *string {
	if etag == "" {
		return nil
	}
	return aws.String(`"` + etag + `"`)
}

func unquoted(etag *string) string { return strings.Trim(aws.ToString(etag), `"`) }
