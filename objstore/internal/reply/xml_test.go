package reply

import (
	"encoding/xml"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/storetest"
)

// listing is what a real decoder makes of an answer.
type listing struct {
	XMLName     xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListBucketResult"`
	IsTruncated bool
	Contents    []entry
	Prefix      string
}

type entry struct {
	Key          string
	LastModified time.Time
	ETag         string
	Size         int64
	Owner        struct{ ID, DisplayName string }
}

// TestParseListing_AsXML writes listings with the standard library and wants back what went in.
func TestParseListing_AsXML(t *testing.T) {
	t.Parallel()
	in := listing{IsTruncated: true, Prefix: "<Contents>"}
	modified := time.Date(2026, 11, 20, 14, 0, 0, 123e6, time.UTC)
	for i, key := range storetest.Keys {
		e := entry{Key: "app/" + key, LastModified: modified, ETag: fmt.Sprintf(`"%x"`, i), Size: int64(i)}
		e.Owner.DisplayName = "<Key>no key</Key>"
		in.Contents = append(in.Contents, e)
	}
	body, err := xml.MarshalIndent(in, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	page, err := ParseListing(xml.Header+string(body), "app/")
	if err != nil || !page.More || len(page.Objects) != len(storetest.Keys) {
		t.Fatalf("got %d objects, more %v, %v", len(page.Objects), page.More, err)
	}
	for i, got := range page.Objects {
		want := objstore.Info{Key: storetest.Keys[i], Size: int64(i), ETag: fmt.Sprintf("%x", i), Modified: modified}
		if got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

func TestParseListing_Odd(t *testing.T) {
	t.Parallel()
	const head = `<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">`
	entry := func(key, size, modified string) string {
		return head + "<Contents><Key>" + key + "</Key><Size>" + size + "</Size><LastModified>" + modified + "</LastModified></Contents></ListBucketResult>"
	}
	const at = "2026-11-20T14:00:00Z"
	for _, test := range []struct {
		name, body string
		want       error
	}{
		{"a web page", "<html><body>It works!</body></html>", ErrNoListing},
		{"nothing", "", ErrNoListing},
		{"an error", "<Error><Code>NoSuchBucket</Code></Error>", ErrNoListing},
		{"cut off", head + "<Contents><Key>a", ErrNoListing},
		{"no size", entry("app/a", "", at), ErrNoListing},
		{"no time", entry("app/a", "1", ""), ErrNoListing},
		{"another prefix", entry("other/a", "1", at), ErrUnordered},
		{"empty", head + "<Name>b</Name><IsTruncated>false</IsTruncated></ListBucketResult>", nil},
	} {
		if page, err := ParseListing(test.body, "app/"); !errors.Is(err, test.want) || len(page.Objects) > 0 {
			t.Errorf("%s: got %v and %v, want %v", test.name, page, err, test.want)
		}
	}
	page, err := ParseListing(entry("app/&#x41;&#66;&amp;lt;&nothing;&", "1", at), "app/")
	if err != nil || page.Objects[0].Key != "AB&lt;&nothing;&" {
		t.Errorf("got %+v and %v", page, err)
	}
}

func TestParseError(t *testing.T) {
	t.Parallel()
	code, message := ParseError(`<?xml version="1.0"?><Error><Code>NoSuchBucket</Code><Message>It isn&apos;t there</Message></Error>`)
	if code != "NoSuchBucket" || message != "It isn't there" {
		t.Errorf("got %q and %q", code, message)
	}
	if code, message := ParseError(strings.Repeat("<html>", 3)); code+message != "" {
		t.Errorf("got %q and %q", code, message)
	}
}
