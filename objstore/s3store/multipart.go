package s3store

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/litefs-s3/litefs-s3/objstore"
)

// abortTimeout bounds the removal of the parts of an upload that failed. It may follow the end of the caller's context.
const abortTimeout = 2 * time.Second

// putParts uploads a large object: its parts side by side, then the request that makes an object of them.
func (s *Store) putParts(
	ctx context.Context, key string, body io.ReadSeeker, size int64, opts objstore.PutOptions,
) (etag string, err error) {
	u := &upload{store: s, key: key, size: size, partSize: max(s.cfg.PartSize, (size+maxParts-1)/maxParts)}
	if err := u.begin(ctx, opts); err != nil {
		return "", err
	}
	if err := u.sendAll(ctx, body); err != nil {
		u.abort(ctx)
		return "", err
	}
	etag, err = u.complete(ctx, opts)
	if err != nil {
		u.abort(ctx)
		return "", err
	}
	return etag, nil
}

// upload is an object on its way in parts.
type upload struct {
	store    *Store
	key      string
	size     int64 // bytes in all
	partSize int64 // bytes in each part but the last
	id       *string

	mu    sync.Mutex
	parts []types.CompletedPart // by number; the slice is made before it is shared, its elements are guarded by mu
}

func (u *upload) begin(ctx context.Context, opts objstore.PutOptions) error {
	s := u.store
	in := &s3.CreateMultipartUploadInput{
		Bucket: &s.cfg.Bucket, Key: &u.key,
		ContentType: aws.String(contentType), Metadata: metadata(opts.Timestamp),
		StorageClass: types.StorageClass(s.cfg.StorageClass),
	}
	in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5 = s.customerKey()
	in.ServerSideEncryption, in.SSEKMSKeyId = s.serviceKey()
	out, err := call(ctx, s, func(ctx context.Context, client *s3.Client) (*s3.CreateMultipartUploadOutput, error) {
		return client.CreateMultipartUpload(ctx, in)
	})
	if err != nil {
		return err
	}
	u.id = out.UploadId
	u.parts = make([]types.CompletedPart, (u.size+u.partSize-1)/u.partSize)
	return nil
}

// sendAll uploads the parts, several at once, and returns the first error after all requests have ended.
func (u *upload) sendAll(ctx context.Context, body io.ReadSeeker) error {
	parts, err := u.reader(body)
	if err != nil {
		return &ownError{err}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	slots := make(chan struct{}, u.store.cfg.Concurrency)
	var wg sync.WaitGroup
	for i := range u.parts {
		slots <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		part, err := parts(i)
		if err != nil {
			cancel(&ownError{err})
			break
		}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := u.send(ctx, i, part); err != nil {
				cancel(err) // the first one counts
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// reader returns a function that returns part i of body. It must be called with 0, 1, 2 …; a body that is no
// io.ReaderAt is read into memory part by part.
func (u *upload) reader(body io.ReadSeeker) (func(i int) (io.ReadSeeker, error), error) {
	if at, ok := body.(io.ReaderAt); ok {
		return func(i int) (io.ReadSeeker, error) {
			off, n := u.span(i)
			return io.NewSectionReader(at, off, n), nil
		}, nil
	}
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("rewind body: %w", err)
	}
	return func(i int) (io.ReadSeeker, error) {
		_, n := u.span(i)
		buf := make([]byte, n)
		if _, err := io.ReadFull(body, buf); err != nil {
			return nil, fmt.Errorf("read body: %w", err)
		}
		return bytes.NewReader(buf), nil
	}, nil
}

// span returns where part i begins and how long it is.
func (u *upload) span(i int) (off, n int64) {
	off = int64(i) * u.partSize
	return off, min(u.partSize, u.size-off)
}

func (u *upload) send(ctx context.Context, i int, part io.ReadSeeker) error {
	s := u.store
	tracked := &trackedBody{ReadSeeker: part}
	_, n := u.span(i)
	in := &s3.UploadPartInput{
		Bucket: &s.cfg.Bucket, Key: &u.key, UploadId: u.id,
		PartNumber: aws.Int32(int32(i) + 1), Body: tracked, ContentLength: &n,
	}
	in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5 = s.customerKey()
	out, err := s.client.Load().UploadPart(ctx, in)
	if err != nil {
		return tracked.blame(err)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.parts[i] = types.CompletedPart{
		ETag: out.ETag, PartNumber: in.PartNumber, ChecksumCRC32: out.ChecksumCRC32,
	}
	return nil
}

func (u *upload) complete(ctx context.Context, opts objstore.PutOptions) (string, error) {
	s := u.store
	u.mu.Lock()
	defer u.mu.Unlock()
	in := &s3.CompleteMultipartUploadInput{
		Bucket: &s.cfg.Bucket, Key: &u.key, UploadId: u.id,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: u.parts},
	}
	in.IfNoneMatch, in.IfMatch = conditions(opts)
	in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5 = s.customerKey()
	out, err := s.client.Load().CompleteMultipartUpload(ctx, in)
	if err != nil {
		return "", err
	}
	return unquoted(out.ETag), nil
}

// abort removes the parts. Its failure is not reported: the upload's own error says more, and a lifecycle rule of the
// bucket removes what is left.
func (u *upload) abort(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
	defer cancel()
	_, _ = u.store.client.Load().AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{
		Bucket: &u.store.cfg.Bucket, Key: &u.key, UploadId: u.id,
	})
}
