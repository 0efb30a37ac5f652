package s3store

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/litefs-s3/litefs-s3/objstore"
)

const (
	contentType = "application/octet-stream"
	// timestampKey is Litestream's. Its value is in UTC with at most nanoseconds, trailing zeros trimmed.
	timestampKey = "litestream-timestamp"
)

// Put implements objstore.Putter: with one PutObject, or in parts if the body is larger than Config.PartSize. A
// condition on an object in parts is decided when the last part has arrived.
func (s *Store) Put(ctx context.Context, key string, body io.ReadSeeker, opts objstore.PutOptions) (string, error) {
	etag, err := s.put(ctx, key, body, opts)
	if err != nil {
		return "", s.fail(ctx, "put", key, conditionError(err, opts))
	}
	if etag == "" {
		err := fmt.Errorf("the answer has no ETag: %w", objstore.ErrTemporary)
		return "", &objstore.OpError{Op: "put", Key: key, Err: err}
	}
	return etag, nil
}

func (s *Store) put(ctx context.Context, key string, body io.ReadSeeker, opts objstore.PutOptions) (string, error) {
	if err := errors.Join(objstore.ValidateKey(key), opts.Validate()); err != nil {
		return "", &ownError{err}
	}
	size, err := body.Seek(0, io.SeekEnd)
	if err != nil {
		return "", &ownError{fmt.Errorf("size of the body: %w", err)}
	}
	if size > s.cfg.PartSize {
		return s.putParts(ctx, key, body, size, opts)
	}
	return s.putWhole(ctx, key, body, size, opts)
}

func (s *Store) putWhole(
	ctx context.Context, key string, body io.ReadSeeker, size int64, opts objstore.PutOptions,
) (string, error) {
	in := &s3.PutObjectInput{
		Bucket: &s.cfg.Bucket, Key: &key, ContentLength: &size,
		ContentType: aws.String(contentType), Metadata: metadata(opts.Timestamp),
		StorageClass: types.StorageClass(s.cfg.StorageClass),
	}
	in.IfNoneMatch, in.IfMatch = conditions(opts)
	in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5 = s.customerKey()
	in.ServerSideEncryption, in.SSEKMSKeyId = s.serviceKey()
	if s.cfg.PutObjectContentMD5 {
		sum, err := bodyMD5(body)
		if err != nil {
			return "", &ownError{err}
		}
		in.ContentMD5 = &sum
	}
	tracked := &trackedBody{ReadSeeker: body}
	out, err := call(ctx, s, func(ctx context.Context, client *s3.Client) (*s3.PutObjectOutput, error) {
		if _, err := tracked.Seek(0, io.SeekStart); err != nil {
			return nil, &ownError{fmt.Errorf("rewind body: %w", err)}
		}
		in.Body = tracked
		return client.PutObject(ctx, in)
	})
	if err != nil {
		return "", tracked.blame(err)
	}
	return unquoted(out.ETag), nil
}

// trackedBody remembers whether it was the body that failed, which no retry heals.
type trackedBody struct {
	io.ReadSeeker
	err error // of the last read; the SDK reads from one goroutine at a time
}

func (b *trackedBody) Read(p []byte) (int, error) {
	n, err := b.ReadSeeker.Read(p)
	if err != nil && err != io.EOF {
		b.err = err
	}
	return n, err
}

func (b *trackedBody) blame(err error) error {
	if b.err != nil {
		return &ownError{fmt.Errorf("read body: %w", b.err)}
	}
	return err
}

func metadata(timestamp time.Time) map[string]string {
	if timestamp.IsZero() {
		return nil
	}
	return map[string]string{timestampKey: timestamp.UTC().Format(time.RFC3339Nano)}
}

func conditions(opts objstore.PutOptions) (ifNoneMatch, ifMatch *string) {
	if opts.OnlyCreate {
		ifNoneMatch = aws.String("*")
	}
	return ifNoneMatch, quoted(opts.IfMatch)
}

// conditionError says what the answer to a conditional put means.
func conditionError(err error, opts objstore.PutOptions) error {
	switch status := statusOf(err); {
	case status == http.StatusPreconditionFailed && opts.OnlyCreate:
		return &ownError{objstore.ErrExists}
	case status == http.StatusPreconditionFailed && opts.IfMatch != "":
		return &ownError{fmt.Errorf("its etag is not %s: %w", opts.IfMatch, objstore.ErrChanged)}
	case status == http.StatusNotFound && opts.IfMatch != "" && codeOf(err) != "NoSuchBucket" && codeOf(err) != "NoSuchUpload":
		return &ownError{fmt.Errorf("it is not there any more: %w", objstore.ErrChanged)}
	case status == http.StatusNotImplemented && (opts.OnlyCreate || opts.IfMatch != ""):
		return &ownError{fmt.Errorf("the server knows no conditional writes, so a replica in it cannot be written safely: %w",
			objstore.ErrUnsupported)}
	}
	return err
}

// customerKey returns the fields of an input that has a key of the customer's.
func (s *Store) customerKey() (algorithm, key, keyMD5 *string) {
	if s.cfg.SSECustomerKey == "" {
		return nil, nil, nil
	}
	return &s.cfg.SSECustomerAlgorithm, &s.cfg.SSECustomerKey, &s.cfg.SSECustomerKeyMD5
}

// serviceKey returns the fields of an input that names a key of Amazon's key service.
func (s *Store) serviceKey() (types.ServerSideEncryption, *string) {
	if s.cfg.SSEKMSKeyID == "" {
		return "", nil
	}
	return types.ServerSideEncryptionAwsKms, &s.cfg.SSEKMSKeyID
}

func bodyMD5(body io.ReadSeeker) (string, error) {
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return "", fmt.Errorf("rewind body: %w", err)
	}
	sum := md5.New()
	if _, err := io.Copy(sum, body); err != nil {
		return "", fmt.Errorf("read body: %w", err)
	}
	return base64.StdEncoding.EncodeToString(sum.Sum(nil)), nil
}
