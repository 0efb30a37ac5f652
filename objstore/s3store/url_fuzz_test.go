package s3store_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/litefs-s3/litefs-s3/objstore/s3store"
)

// unknownName is what an error says of a parameter that there is not. Its name is no secret.
var unknownName = regexp.MustCompile(`unknown parameter "[^"]*"`)

// FuzzParseURL: a URL that is taken has a bucket, and a prefix that stays below it; one that is not says why without its secrets.
func FuzzParseURL(f *testing.F) {
	for _, u := range []string{
		"s3://bucket/app", "s3://bucket/app/?endpoint=localhost:9000&force-path-style=true", "s3://bucket/../other", "s3://user:hunter2@bucket/app",
		"s3://arn:aws:s3:us-east-1:123456789012:accesspoint/name/app", "s3://b/a?sse-customer-key=hunter2", "s3://b//a%2F..%2Fc", "S3://B/a?region=", "s3:/b", "",
	} {
		f.Add(u)
	}
	f.Fuzz(func(t *testing.T, u string) {
		cfg, prefix, err := s3store.ParseURL(u)
		if err != nil {
			if strings.Contains(unknownName.ReplaceAllString(err.Error(), ""), "hunter2") {
				t.Fatalf("the error shows a secret: %v", err)
			}
			return
		}
		if cfg.Bucket == "" || prefix == "" {
			t.Fatalf("%q: bucket %q, prefix %q", u, cfg.Bucket, prefix)
		}
		for _, part := range strings.Split(prefix, "/") {
			if part == ".." || part == "." || part == "" {
				t.Fatalf("%q: prefix %q leads elsewhere", u, prefix)
			}
		}
	})
}
