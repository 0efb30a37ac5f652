package httpstore

import (
	"strings"
	"testing"
)

// FuzzListing: an answer that is taken for a listing has keys below the prefix that was asked for, each once, in order, after the one that was named.
func FuzzListing(f *testing.F) {
	const object = `<Contents><Key>db/app/0000/%s.ltx</Key><Size>131</Size><ETag>&quot;d41d8&quot;</ETag><LastModified>2026-01-02T03:04:05.000Z</LastModified></Contents>`
	whole := `<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><IsTruncated>true</IsTruncated>` +
		strings.ReplaceAll(object, "%s", "0000000000000001-0000000000000001") + strings.ReplaceAll(object, "%s", "0000000000000002-0000000000000002") + `</ListBucketResult>`
	f.Add([]byte(whole), "0000/", "")
	f.Add([]byte(whole), "", "0000/0000000000000001-0000000000000001.ltx")
	f.Add([]byte(`<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]><ListBucketResult><Contents><Key>&b;</Key></Contents></ListBucketResult>`), "", "")
	f.Add([]byte(`<html><body>no</body></html>`), "", "")
	f.Add([]byte(`<ListBucketResult><Contents><Size>-1</Size></Contents></ListBucketResult>`), "", "")
	f.Fuzz(func(t *testing.T, body []byte, prefix, startAfter string) {
		page, err := (&bucket{prefix: "db/app/"}).decode(body, prefix, startAfter)
		if err != nil {
			return
		}
		last := startAfter
		for _, o := range page.Objects {
			if !strings.HasPrefix(o.Key, prefix) || o.Key <= last || o.Size < 0 {
				t.Fatalf("%q of %d bytes after %q", o.Key, o.Size, last)
			}
			last = o.Key
		}
		if page.More && len(page.Objects) == 0 {
			t.Fatal("there is more, and nobody knows after what")
		}
	})
}
