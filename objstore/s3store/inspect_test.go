package s3store_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/litefs-s3/litefs-s3/objstore/s3store"
)

func headOf(t *testing.T, store *s3store.Store, bucket, key string) *s3.HeadObjectOutput {
	t.Helper()
	out, err := store.Client().HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func openUploads(t *testing.T, store *s3store.Store, bucket, key string) int {
	t.Helper()
	out, err := store.Client().ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: &bucket, Prefix: &key})
	if err != nil {
		t.Fatal(err)
	}
	return len(out.Uploads)
}
