package s3store_test

import (
	"crypto/rand"
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/litefs-s3/litefs-s3/integration/servers"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/httpstore"
	"github.com/litefs-s3/litefs-s3/objstore/s3store"
	"github.com/litefs-s3/litefs-s3/objstore/storetest"
)

// TestMinIO_Public reads a public bucket without credentials, as S3 and as a web server.
func TestMinIO_Public(t *testing.T) {
	t.Parallel()
	minio := servers.NewMinIO(t, "")
	bucket := minio.Bucket(t)
	writer := open(t, minioConfig(minio, bucket))
	policy := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":["*"]},`+
		`"Action":["s3:GetObject","s3:ListBucket"],"Resource":["arn:aws:s3:::%[1]s","arn:aws:s3:::%[1]s/*"]}]}`, bucket)
	_, err := writer.Client().PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: &bucket, Policy: &policy})
	if err != nil {
		t.Fatal(err)
	}
	// A MinIO that has just begun may put what it has read of the bucket before in place of the policy, and then denies what that allows. One that
	// begins with the policy on its disk does not.
	if err := minio.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	fill := func(t *testing.T, objects map[string][]byte) (prefix string) {
		prefix = rand.Text()
		storetest.Fill(t, objstore.WithPrefix(writer, prefix), objects)
		return prefix
	}
	t.Run("https", func(t *testing.T) {
		t.Parallel()
		storetest.RunReadOnly(t, func(t *testing.T, objects map[string][]byte) objstore.Store {
			store, err := httpstore.Open(minio.Endpoint+"/"+bucket+"/"+fill(t, objects), httpstore.Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(store.CloseIdle)
			return store
		})
	})
	t.Run("anonymous", func(t *testing.T) {
		t.Parallel()
		store := open(t, s3store.Config{Bucket: bucket, Endpoint: minio.Endpoint, Anonymous: true})
		storetest.RunReadOnly(t, func(t *testing.T, objects map[string][]byte) objstore.Store {
			return objstore.ReadOnly(objstore.WithPrefix(store, fill(t, objects)))
		})
	})
}
