package s3store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/internal/reply"
)

// ReadAt implements objstore.RangeReader with one GetObject.
func (s *Store) ReadAt(ctx context.Context, ref objstore.Ref, p []byte, off int64) error {
	return reply.Get(s.get).ReadAt(ctx, ref, p, off)
}

// ReadSuffix implements objstore.RangeReader with one GetObject, or two if the object is empty.
func (s *Store) ReadSuffix(ctx context.Context, ref objstore.Ref, n int64) (objstore.Part, error) {
	return reply.Get(s.get).ReadSuffix(ctx, ref, n)
}

// ReadPrefix implements objstore.RangeReader with one GetObject, or two if the object is empty.
func (s *Store) ReadPrefix(ctx context.Context, ref objstore.Ref, n int64) (objstore.Part, error) {
	return reply.Get(s.get).ReadPrefix(ctx, ref, n)
}

// get is a reply.Get with one GetObject.
func (s *Store) get(ctx context.Context, ref objstore.Ref, bytesRange string, take func(*reply.Answer) error) error {
	if err := s.getOnce(ctx, ref, bytesRange, take); err != nil {
		return s.fail(ctx, "get", ref.Key, err)
	}
	return nil
}

func (s *Store) getOnce(ctx context.Context, ref objstore.Ref, bytesRange string, take func(*reply.Answer) error) error {
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
