package s3store_test

import (
	"bytes"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/litefs-s3/litefs-s3/integration/servers"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/s3store"
)

func TestParseURL(t *testing.T) {
	t.Parallel()
	type config = s3store.Config
	for _, test := range []struct {
		url    string
		want   config
		prefix string
	}{
		// hosts
		{"s3://bucket/app", config{Bucket: "bucket"}, "app"},
		{"S3://bucket/app", config{Bucket: "bucket"}, "app"},
		{"s3://my.bucket/app", config{Bucket: "my.bucket"}, "app"},
		{"s3://my.bucket.s3.amazonaws.com/app", config{Bucket: "my.bucket"}, "app"},
		{"s3://bucket.s3.eu-west-1.amazonaws.com/app", config{Bucket: "bucket", Region: "eu-west-1"}, "app"},
		{"s3://bucket.localhost:9000/app", config{Bucket: "bucket", Region: "us-east-1", Endpoint: "http://localhost:9000"}, "app"},
		{"s3://bucket.127.0.0.1:9000/app", config{Bucket: "bucket", Region: "us-east-1", Endpoint: "http://127.0.0.1:9000"}, "app"},
		{"s3://bucket.minio.local:9000/app", config{Bucket: "bucket", Region: "us-east-1", Endpoint: "http://minio.local:9000"}, "app"},
		{"s3://bucket.fra1.digitaloceanspaces.com/app", config{Bucket: "bucket", Region: "fra1", Endpoint: "https://fra1.digitaloceanspaces.com"}, "app"},
		{"s3://bucket.s3.us-west-002.backblazeb2.com/app", config{Bucket: "bucket", Region: "us-west-002", Endpoint: "https://s3.us-west-002.backblazeb2.com"}, "app"},
		{"s3://bucket.s3.filebase.com/app", config{Bucket: "bucket", Endpoint: "https://s3.filebase.com"}, "app"},
		{"s3://bucket.s3.fr-par.scw.cloud/app", config{Bucket: "bucket", Region: "fr-par", Endpoint: "https://s3.fr-par.scw.cloud"}, "app"},
		{"s3://bucket.br-x-1.storage.c-6.us-east-2.aws.neon.tech/app",
			config{Bucket: "bucket", Region: "us-east-2", Endpoint: "https://br-x-1.storage.c-6.us-east-2.aws.neon.tech"}, "app"},
		{"s3://arn:aws:s3:eu-west-1:123456789012:accesspoint/ap/app/db",
			config{Bucket: "arn:aws:s3:eu-west-1:123456789012:accesspoint/ap", Region: "eu-west-1"}, "app/db"},

		// endpoints
		{"s3://b-1/app?endpoint=localhost:9000", config{Bucket: "b-1", Endpoint: "http://localhost:9000"}, "app"},
		{"s3://b-1/app?endpoint=192.168.1.5:9000", config{Bucket: "b-1", Endpoint: "http://192.168.1.5:9000"}, "app"},
		{"s3://b-1/app?endpoint=172.20.0.2:9000", config{Bucket: "b-1", Endpoint: "http://172.20.0.2:9000"}, "app"},
		{"s3://b-1/app?endpoint=172.200.0.2:9000", config{Bucket: "b-1", Endpoint: "https://172.200.0.2:9000"}, "app"},
		{"s3://b-1/app?endpoint=s3.example.com:9000", config{Bucket: "b-1", Endpoint: "https://s3.example.com:9000"}, "app"},
		{"s3://b-1/app?endpoint=http%3A%2F%2Fs3.example.com", config{Bucket: "b-1", Endpoint: "http://s3.example.com"}, "app"},
		{"s3://b-1/app?endpoint=https://x.r2.cloudflarestorage.com&region=auto",
			config{Bucket: "b-1", Region: "auto", Endpoint: "https://x.r2.cloudflarestorage.com"}, "app"},
		{"s3://b-1/app?endpoint=fly.storage.tigris.dev", config{Bucket: "b-1", Endpoint: "https://fly.storage.tigris.dev"}, "app"},

		// parameters, in each spelling
		{"s3://b-1/app?force-path-style=true&skipVerify=1&sign_payload=no&concurrency=3&part-size=6000000", config{
			Bucket: "b-1", ForcePathStyle: s3store.On, SkipVerify: true, SignPayload: s3store.Off, Concurrency: 3, PartSize: 6_000_000,
		}, "app"},
		{"s3://b-1/app?forcePathStyle=f&signAcceptEncoding=False&requireContentMD5=0&putObjectContentMD5=T&storageClass=GLACIER_IR", config{
			Bucket: "b-1", ForcePathStyle: s3store.Off, SignAcceptEncoding: s3store.Off, RequireContentMD5: s3store.Off,
			PutObjectContentMD5: true, StorageClass: "GLACIER_IR",
		}, "app"},
		{"s3://b-1/app?sse-customer-algorithm=AES256&sseCustomerKey=MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE%3D", config{
			Bucket: "b-1", SSECustomerAlgorithm: "AES256", SSECustomerKey: "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
		}, "app"},
		{"s3://b-1/app?sseKmsKeyId=alias/x&profile=dev&ca-file=/etc/ca.pem", config{
			Bucket: "b-1", SSEKMSKeyID: "alias/x", Profile: "dev", CAFile: "/etc/ca.pem",
		}, "app"},
		{"s3://b-1/app?anonymous=true", config{Bucket: "b-1", Anonymous: true}, "app"},

		// paths
		{"s3://bucket/app/", config{Bucket: "bucket"}, "app"},
		{"s3://bucket//app//db/", config{Bucket: "bucket"}, "app/db"},
		{"s3://bucket/app/../db/./x", config{Bucket: "bucket"}, "db/x"},
		{"s3://bucket/a%20b", config{Bucket: "bucket"}, "a b"},
		{"s3://bucket/a+b", config{Bucket: "bucket"}, "a+b"},
		{"s3://bucket/a%2Bb", config{Bucket: "bucket"}, "a+b"},
		{"s3://bucket/a%25b", config{Bucket: "bucket"}, "a%b"},
		{"s3://bucket/a%2Fb", config{Bucket: "bucket"}, "a/b"},
		{"s3://bucket/a%3Fb%23c", config{Bucket: "bucket"}, "a?b#c"},
		{"s3://bucket/München/データ", config{Bucket: "bucket"}, "München/データ"},
		{"s3://bucket/M%C3%BCnchen", config{Bucket: "bucket"}, "München"},
		{"s3://bucket/a:9000/b", config{Bucket: "bucket"}, "a:9000/b"},
	} {
		cfg, prefix, err := s3store.ParseURL(test.url)
		if err != nil {
			t.Errorf("%s: %v", test.url, err)
			continue
		}
		if !reflect.DeepEqual(cfg, test.want) || prefix != test.prefix {
			t.Errorf("%s:\n got %+v, %q\nwant %+v, %q", test.url, cfg, prefix, test.want, test.prefix)
		}
	}
}

// TestParseURL_Refused wants an error that says what is wrong, and nothing of the secrets that stand where they should
// not.
func TestParseURL_Refused(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ url, text string }{
		{"", "scheme"},
		{"bucket/app", "scheme"},
		{"https://bucket/app", "scheme"},
		{"s3:///app", "bucket is required"},
		{"s3://bucket", "path is required"},
		{"s3://bucket/", "path is required"},
		{"s3://bucket/.", "path is required"},
		{"s3://bucket/a/..", "path is required"},
		{"s3://bucket?region=x", "path is required"},
		{"s3://bucket/%00", "clean"},
		{"s3://bucket/%FF", "clean"},
		{"s3://bucket/" + strings.Repeat("x", 1025), "1024"},
		{"s3://bucket/app#1", "%23"},
		{"s3://localhost:9000/bucket/app", "endpoint="},
		{"s3://127.0.0.1:9000/bucket/app", "endpoint="},
		{"s3://minio.example.com:9000/bucket/app", "endpoint="},
		{"s3://bucket--usw2-az1--x-s3/app", "directory bucket"},
		{"s3://arn:aws:s3:eu-west-1:1:bucket/x/app", "access point"},
		{"s3://AKIDSECRET:s3cr3t@bucket/app", "AWS_ACCESS_KEY_ID"},
		{"s3://AKIDSECRET:s3cr3t/x@bucket/app", "not a URL"},
		{"s3://b-1/app?regoin=eu", `did you mean "region"`},
		{"s3://b-1/app?forcepathstile=1", `did you mean "force-path-style"`},
		{"s3://b-1/app?accessKey=s3cr3t", `"accessKey"`},
		{"s3://b-1/app?force-path-style=ture", `"ture" is neither true nor false`},
		{"s3://b-1/app?skip-verify=", "no value"},
		{"s3://b-1/app?region=a&region=b", "2 times"},
		{"s3://b-1/app?part-size=6000000&partSize=6000000", "are the same"},
		{"s3://b-1/app?concurrency=0", "positive"},
		{"s3://b-1/app?concurrency=many", "positive"},
		{"s3://b-1/app?part-size=1000", "at least"},
		{"s3://b-1/app?region=%zz", "query"},
		{"s3://b-1/app?endpoint=ftp://x", "endpoint"},
		{"s3://b-1/app?endpoint=https://u:s3cr3t@x", "user name"},
		{"s3://b-1/app?endpoint=https://x/?token=s3cr3t", "more than"},
		{"s3://b-1/app?sse-customer-key=s3cr3t", "32 bytes"},
		{"s3://b-1/app?sse-customer-key-md5=x", "need sse-customer-key"},
		{"s3://b-1/app?sse-customer-key=MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE%3D&sse-kms-key-id=x", "one of"},
		{"s3://b-1/app?sse-customer-key=MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE%3D&endpoint=http://x.org", "https"},
		{"s3://b-1/app?anonymous=true&profile=x", "one of"},
	} {
		_, _, err := s3store.ParseURL(test.url)
		if err == nil || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s: got %v, want %q in it", test.url, err, test.text)
		}
		if err != nil && strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s: the error shows the secret: %v", test.url, err)
		}
	}
}

func TestParameters(t *testing.T) {
	t.Parallel()
	litestreams := []string{
		"endpoint", "region", "force-path-style", "skip-verify", "sign-payload", "sign-accept-encoding", "require-content-md5",
		"put-object-content-md5", "concurrency", "part-size", "storage-class", "sse-customer-algorithm", "sse-customer-key",
		"sse-customer-key-md5", "sse-kms-key-id",
	}
	for _, name := range litestreams {
		if !slices.Contains(s3store.Parameters(), name) {
			t.Errorf("Litestream's parameter %s is unknown", name)
		}
	}
}

// TestMinIO_Prefixes puts an object under prefixes that went wrong elsewhere and looks for it with another client.
func TestMinIO_Prefixes(t *testing.T) {
	t.Parallel()
	minio := servers.StartMinIO(t)
	bucket := minio.Bucket(t)
	const name = "0000/0000000000000001-0000000000000001.ltx"
	for _, test := range []struct{ path, prefix string }{
		{"app", "app"},
		{"app/", "app"},
		{"//app//two/", "app/two"},
		{"a%20b", "a b"},
		{"a+b", "a+b"},
		{"a%25b", "a%b"},
		{"a%2520b", "a%20b"},
		{"M%C3%BCnchen/データ", "München/データ"},
		{"x:9000", "x:9000"},
		{"a=b&c;d", "a=b&c;d"},
	} {
		query := url.Values{"endpoint": {minio.Endpoint}, "region": {servers.Region}}
		cfg, prefix, err := s3store.ParseURL("s3://" + bucket + "/" + test.path + "?" + query.Encode())
		if err != nil {
			t.Fatal(err)
		}
		cfg.AccessKeyID, cfg.SecretAccessKey = minio.AccessKey, minio.SecretKey
		store := objstore.WithPrefix(open(t, cfg), prefix)
		if _, err := store.Put(t.Context(), name, bytes.NewReader([]byte(test.path)), objstore.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		got, err := minio.Get(t.Context(), bucket, test.prefix+"/"+name)
		if err != nil || string(got) != test.path {
			t.Errorf("%s: %v", test.path, err)
		}
		all, err := objstore.ListAll(t.Context(), store, "0000/", "")
		if err != nil || len(all) != 1 || all[0].Key != name {
			t.Errorf("%s: listed %v and %v", test.path, all, err)
		}
	}
}
