package s3store

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/litefs-s3/litefs-s3/objstore"
)

// batchSize is the number of keys one DeleteObjects takes.
const batchSize = 1000

// Delete implements objstore.Deleter with one DeleteObjects for each 1000 keys, or one DeleteObject for each key with
// servers that do not know the former.
func (s *Store) Delete(ctx context.Context, keys ...string) error {
	for _, key := range keys {
		if err := objstore.ValidateKey(key); err != nil {
			return &objstore.OpError{Op: "delete", Key: key, Err: err}
		}
	}
	var errs []error
	for batch := range slices.Chunk(keys, batchSize) {
		errs = append(errs, s.deleteBatch(ctx, batch))
		if ctx.Err() != nil {
			break
		}
	}
	return objstore.Join(errs...)
}

func (s *Store) deleteBatch(ctx context.Context, keys []string) error {
	if len(keys) == 1 || s.noBatchDelete.Load() {
		return s.deleteSingly(ctx, keys)
	}
	in := &s3.DeleteObjectsInput{Bucket: &s.cfg.Bucket, Delete: &types.Delete{Quiet: aws.Bool(true)}}
	for _, key := range keys {
		in.Delete.Objects = append(in.Delete.Objects, types.ObjectIdentifier{Key: aws.String(key)})
	}
	out, err := call(ctx, s, func(ctx context.Context, client *s3.Client) (*s3.DeleteObjectsOutput, error) {
		return client.DeleteObjects(ctx, in)
	})
	if err == nil {
		return s.keyErrors(out.Errors)
	}
	if _, kind := classify(statusOf(err), codeOf(err)); errors.Is(kind, objstore.ErrUnsupported) {
		s.noBatchDelete.Store(true)
		return s.deleteSingly(ctx, keys)
	}
	return s.failAll(ctx, keys, err)
}

// keyErrors is for a batch that succeeded but for some keys.
func (s *Store) keyErrors(failed []types.Error) error {
	var errs []error
	for _, f := range failed {
		code := aws.ToString(f.Code)
		advice, kind := classify(0, code)
		if errors.Is(kind, objstore.ErrNotFound) {
			continue
		}
		err := &ResponseError{
			Status: http.StatusOK, Code: s.redact(code), Message: s.redact(aws.ToString(f.Message)), Advice: advice, kind: kind,
		}
		errs = append(errs, &objstore.OpError{Op: "delete", Key: aws.ToString(f.Key), Err: err})
	}
	return objstore.Join(errs...)
}

// failAll reports one error for every key.
func (s *Store) failAll(ctx context.Context, keys []string, err error) error {
	errs := make([]error, len(keys))
	for i, key := range keys {
		errs[i] = s.fail(ctx, "delete", key, err)
	}
	return objstore.Join(errs...)
}

func (s *Store) deleteSingly(ctx context.Context, keys []string) error {
	var errs []error
	for _, key := range keys {
		_, err := call(ctx, s, func(ctx context.Context, client *s3.Client) (*s3.DeleteObjectOutput, error) {
			return client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.cfg.Bucket, Key: &key})
		})
		if err == nil || codeOf(err) == "NoSuchKey" {
			continue
		}
		errs = append(errs, s.fail(ctx, "delete", key, err))
		if ctx.Err() != nil {
			break
		}
	}
	return objstore.Join(errs...)
}
