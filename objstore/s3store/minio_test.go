package s3store_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/litefs-s3/litefs-s3/integration/servers"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/s3store"
	"github.com/litefs-s3/litefs-s3/objstore/storetest"
)

// minioConfig is for a bucket in the MinIO of the tests.
func minioConfig(minio *servers.MinIO, bucket string) s3store.Config {
	return s3store.Config{
		Bucket:          bucket,
		Endpoint:        minio.Endpoint,
		Region:          servers.Region,
		AccessKeyID:     minio.AccessKey,
		SecretAccessKey: minio.SecretKey,
		PartSize:        5 << 20,
	}
}

func open(t *testing.T, cfg s3store.Config) *s3store.Store {
	t.Helper()
	store, err := s3store.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.CloseIdle)
	return store
}

// TestMinIO is the contract against a real server, each test under a prefix of its own.
func TestMinIO(t *testing.T) {
	t.Parallel()
	minio := servers.StartMinIO(t)
	store := open(t, minioConfig(minio, minio.Bucket(t)))
	openPrefix := func(*testing.T) objstore.Store { return objstore.WithPrefix(store, rand.Text()) }
	t.Run("contract", func(t *testing.T) { storetest.Run(t, openPrefix) })
	t.Run("keys", func(t *testing.T) { storetest.RunKeys(t, openPrefix, nil) })
}

// TestMinIO_Variants are settings that change what goes over the wire.
func TestMinIO_Variants(t *testing.T) {
	t.Parallel()
	minio := servers.StartMinIO(t)
	bucket := minio.Bucket(t)
	for name, change := range map[string]func(*s3store.Config){
		"content MD5":              func(c *s3store.Config) { c.PutObjectContentMD5, c.RequireContentMD5 = true, s3store.On },
		"no content MD5":           func(c *s3store.Config) { c.RequireContentMD5 = s3store.Off },
		"unsigned accept-encoding": func(c *s3store.Config) { c.SignAcceptEncoding = s3store.Off },
		"unsigned payload":         func(c *s3store.Config) { c.SignPayload = s3store.Off },
		"one part at a time":       func(c *s3store.Config) { c.Concurrency = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := minioConfig(minio, bucket)
			change(&cfg)
			store := objstore.WithPrefix(open(t, cfg), rand.Text())
			large := storetest.Content(1, 11<<20)
			for key, data := range map[string][]byte{"large": large, "small": large[:100], "empty": {}} {
				if _, err := store.Put(t.Context(), key, bytes.NewReader(data), objstore.PutOptions{OnlyCreate: true}); err != nil {
					t.Fatal(err)
				}
				part, err := store.ReadSuffix(t.Context(), objstore.Ref{Key: key}, 12<<20)
				if err != nil || !bytes.Equal(part.Data, data) {
					t.Fatalf("%s: %v", key, err)
				}
			}
			if err := store.Delete(t.Context(), "large", "small", "empty"); err != nil {
				t.Fatal(err)
			}
			if all, err := objstore.ListAll(t.Context(), store, "", ""); err != nil || len(all) != 0 {
				t.Fatalf("got %v and %v", all, err)
			}
		})
	}
}

// TestMinIO_Timestamp checks the metadata that Litestream reads, on small and large objects.
func TestMinIO_Timestamp(t *testing.T) {
	t.Parallel()
	minio := servers.StartMinIO(t)
	bucket := minio.Bucket(t)
	store := open(t, minioConfig(minio, bucket))
	made := time.Date(2026, 11, 20, 16, 11, 12, 540_000_000, time.FixedZone("CET", 3600))
	for key, size := range map[string]int{"app/small": 10, "app/large": 6 << 20} {
		_, err := store.Put(t.Context(), key, bytes.NewReader(make([]byte, size)), objstore.PutOptions{Timestamp: made})
		if err != nil {
			t.Fatal(err)
		}
		header := headOf(t, store, bucket, key)
		if got := header.Metadata["litestream-timestamp"]; got != "2026-11-20T15:11:12.54Z" {
			t.Errorf("%s: timestamp %q", key, got)
		}
		if got := *header.ContentType; got != "application/octet-stream" {
			t.Errorf("%s: content type %q", key, got)
		}
		if isParts := strings.HasSuffix(*header.ETag, `-2"`); isParts != (key == "app/large") {
			t.Errorf("%s: etag %s", key, *header.ETag)
		}
	}
}

func TestMinIO_Errors(t *testing.T) {
	t.Parallel()
	minio := servers.StartMinIO(t)
	good := minioConfig(minio, minio.Bucket(t))
	for _, test := range []struct {
		name   string
		change func(*s3store.Config)
		want   error
		text   string
	}{
		{"no bucket", func(c *s3store.Config) { c.Bucket = "nobody-made-this-one" }, objstore.ErrNoBucket, "NoSuchBucket"},
		{"wrong key", func(c *s3store.Config) { c.AccessKeyID = "AKIAIOSFODNN7EXAMPLE" }, objstore.ErrAccess, "InvalidAccessKeyId"},
		{"wrong secret", func(c *s3store.Config) { c.SecretAccessKey = "wrong" }, objstore.ErrAccess, "SignatureDoesNotMatch"},
		{"anonymous", func(c *s3store.Config) {
			c.AccessKeyID, c.SecretAccessKey, c.Anonymous = "", "", true
		}, objstore.ErrAccess, "AccessDenied"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			cfg := good
			test.change(&cfg)
			store := open(t, cfg)
			_, list := store.List(t.Context(), "app/", "")
			_, get := store.ReadSuffix(t.Context(), objstore.Ref{Key: "app/x"}, 10)
			_, put := store.Put(t.Context(), "app/x", bytes.NewReader([]byte("x")), objstore.PutOptions{})
			for _, err := range []error{list, get, put, store.Delete(t.Context(), "app/x"), store.Delete(t.Context(), "app/x", "y")} {
				if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.text) {
					t.Errorf("got %v, want %v with %s", err, test.want, test.text)
				}
				if errors.Is(err, objstore.ErrTemporary) {
					t.Errorf("%v would be retried", err)
				}
			}
		})
	}
}

// TestMinIO_Abort wants no parts left behind by an upload that was cancelled.
func TestMinIO_Abort(t *testing.T) {
	t.Parallel()
	minio := servers.StartMinIO(t)
	bucket := minio.Bucket(t)
	store := open(t, minioConfig(minio, bucket))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	body := &cancelingBody{Reader: bytes.NewReader(make([]byte, 30<<20)), cancel: cancel}
	_, err := store.Put(ctx, "app/large", body, objstore.PutOptions{})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if n := openUploads(t, store, bucket, "app/large"); n != 0 {
		t.Errorf("%d uploads left", n)
	}
}

// cancelingBody cancels the upload when its second half is read.
type cancelingBody struct {
	*bytes.Reader
	cancel context.CancelFunc
}

func (b *cancelingBody) ReadAt(p []byte, off int64) (int, error) {
	if off > b.Size()/2 {
		b.cancel()
	}
	return b.Reader.ReadAt(p, off)
}
