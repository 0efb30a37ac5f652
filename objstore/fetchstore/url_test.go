package fetchstore

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/litefs-s3/litefs-s3/objstore"
)

func TestParseURL_Objects(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ url, object, listing, root string }{
		{"https://host/app", "https://host/app/0000/a.ltx", "https://host/?list-type=2&prefix=app%2F0000%2F", "app/"},
		{"http://localhost:9000/bucket/deep app/", "http://localhost:9000/bucket/deep%20app/0000/a.ltx",
			"http://localhost:9000/?list-type=2&prefix=bucket%2Fdeep%20app%2F0000%2F", "bucket/deep app/"},
		{"https://host", "https://host/0000/a.ltx", "https://host/?list-type=2&prefix=0000%2F", ""},
		{"s3://bucket/app", "https://bucket.s3.us-east-1.amazonaws.com/app/0000/a.ltx",
			"https://bucket.s3.us-east-1.amazonaws.com/?list-type=2&prefix=app%2F0000%2F", "app/"},
		{"s3://bucket/app?region=eu-central-1", "https://bucket.s3.eu-central-1.amazonaws.com/app/0000/a.ltx",
			"https://bucket.s3.eu-central-1.amazonaws.com/?list-type=2&prefix=app%2F0000%2F", "app/"},
		{"s3://dotted.name/app", "https://s3.us-east-1.amazonaws.com/dotted.name/app/0000/a.ltx",
			"https://s3.us-east-1.amazonaws.com/dotted.name/?list-type=2&prefix=app%2F0000%2F", "app/"},
		{"s3://bucket/a/b/?endpoint=http://127.0.0.1:9000&region=us-east-1&forcePathStyle=true", "http://127.0.0.1:9000/bucket/a/b/0000/a.ltx",
			"http://127.0.0.1:9000/bucket/?list-type=2&prefix=a%2Fb%2F0000%2F", "a/b/"},
		{"s3://bucket/app?endpoint=fly.storage.tigris.dev&force-path-style=false", "https://bucket.fly.storage.tigris.dev/app/0000/a.ltx",
			"https://bucket.fly.storage.tigris.dev/?list-type=2&prefix=app%2F0000%2F", "app/"},
	} {
		place, err := ParseURL(test.url, nil)
		if err != nil {
			t.Errorf("%s: %v", test.url, err)
			continue
		}
		object, err := place.Object(t.Context(), "0000/a.ltx")
		if err != nil || object != test.object {
			t.Errorf("%s: got object %s, %v; want %s", test.url, object, err, test.object)
		}
		listings, err := place.Listings(t.Context(), "0000/", "")
		if err != nil || listings[0] != (Listing{test.listing, test.root}) {
			t.Errorf("%s: got listing %+v, %v; want %s below %s", test.url, listings, err, test.listing, test.root)
		}
	}
}

func TestParseURL_FirstFolderMayBeTheBucket(t *testing.T) {
	t.Parallel()
	place, err := ParseURL("http://localhost:9000/bucket/app", nil)
	if err != nil {
		t.Fatal(err)
	}
	listings, err := place.Listings(t.Context(), "", "0000/x")
	want := Listing{"http://localhost:9000/bucket?list-type=2&prefix=app%2F&start-after=app%2F0000%2Fx", "app/"}
	if err != nil || len(listings) != 2 || listings[1] != want {
		t.Errorf("got %+v and %v, want %+v second", listings, err, want)
	}
}

func TestParseURL_Refuses(t *testing.T) {
	t.Parallel()
	ask := func(context.Context) (Credentials, error) { return Credentials{}, nil }
	for _, test := range []struct {
		url  string
		ask  Provider
		says string
	}{
		{"", nil, "no URL"},
		{"bucket/app", nil, "no URL"},
		{"file:///app", nil, "no URL"},
		{"https://", nil, "no URL"},
		{"https://user:secret@host/app", nil, "user name"},
		{"https://host/app#x", nil, "%23"},
		{"https://host/app?X-Amz-Signature=secret", nil, "urlFor"},
		{"https://host/app", ask, "s3://bucket/path"},
		{"s3://bucket", nil, "a path"},
		{"s3:///app", nil, "names a bucket"},
		{"s3://bucket/app?regoin=x", nil, "region"},
		{"s3://bucket/app?endpoint=ftp://host", nil, "endpoint"},
		{"s3://bucket/app?force-path-style=maybe", nil, "neither"},
	} {
		_, err := ParseURL(test.url, test.ask)
		if err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: got %v, want something with %q", test.url, err, test.says)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error tells a secret: %v", test.url, err)
		}
	}
}

func TestBucket_Credentials(t *testing.T) {
	t.Parallel()
	asked := 0
	var expires time.Time
	var fails error
	place, err := ParseURL("s3://bucket/app?region=eu-central-1", func(context.Context) (Credentials, error) {
		asked++
		return Credentials{AccessKeyID: "AKID", SecretAccessKey: "s", SessionToken: "t/+", Expires: expires}, fails
	})
	if err != nil {
		t.Fatal(err)
	}
	read := func(want int) {
		t.Helper()
		signed, err := place.Object(t.Context(), "0000/a b.ltx")
		u, perr := url.Parse(signed)
		if err != nil || perr != nil || asked != want {
			t.Fatalf("got %s, %v and %v; asked %d times, want %d", signed, err, perr, asked, want)
		}
		q := u.Query()
		if u.Path != "/app/0000/a b.ltx" || q.Get("X-Amz-Security-Token") != "t/+" || len(q.Get("X-Amz-Signature")) != 64 ||
			!strings.Contains(q.Get("X-Amz-Credential"), "/eu-central-1/s3/") {
			t.Errorf("got %s", signed)
		}
	}
	read(1)
	read(1) // they are kept
	if !place.Refused() {
		t.Error("there may be better ones")
	}
	expires = time.Now().Add(30 * time.Second)
	read(2) // refused
	read(3) // about to expire
	fails = errors.New("logged out")
	if _, err := place.Object(t.Context(), "a"); !errors.Is(err, fails) || !errors.Is(err, objstore.ErrAccess) {
		t.Errorf("got %v", err)
	}
}

// TestBucket_AsksOnce: requests that begin together, as the first ones do, need one answer; and nobody has to wait for it who does not want to.
func TestBucket_AsksOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked, answer := 0, make(chan struct{})
		place, err := ParseURL("s3://bucket/app", func(context.Context) (Credentials, error) {
			asked++
			<-answer
			return Credentials{AccessKeyID: "AKID", SecretAccessKey: "s"}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if _, err := place.Object(t.Context(), "a"); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		wg.Go(func() {
			if _, err := place.Object(ctx, "a"); !errors.Is(err, context.Canceled) {
				t.Errorf("cancelled: got %v", err)
			}
		})
		synctest.Wait()
		cancel()
		synctest.Wait()
		close(answer)
		wg.Wait()
		if asked != 1 {
			t.Errorf("asked %d times", asked)
		}
	})
}

func TestStatusError(t *testing.T) {
	t.Parallel()
	body := func(code string) string { return "<Error><Code>" + code + "</Code><Message>m</Message></Error>" }
	for _, test := range []struct {
		status int
		body   string
		want   error
	}{
		{404, "", objstore.ErrNotFound},
		{404, body("NoSuchKey"), objstore.ErrNotFound},
		{404, body("NoSuchBucket"), objstore.ErrNoBucket},
		{403, body("AccessDenied"), objstore.ErrAccess},
		{403, body("ExpiredToken"), ErrExpired},
		{400, body("ExpiredToken"), ErrExpired},
		{400, body("AuthorizationHeaderMalformed"), objstore.ErrAccess},
		{412, "", objstore.ErrChanged},
		{416, body("InvalidRange"), objstore.ErrShortObject},
		{503, body("SlowDown"), objstore.ErrTemporary},
		{500, "<html>", objstore.ErrTemporary},
		{429, "", objstore.ErrTemporary},
	} {
		if err := newStatusError(test.status, test.body); !errors.Is(err, test.want) {
			t.Errorf("%d %s: got %v, want %v", test.status, test.body, err, test.want)
		}
	}
	for _, err := range []error{newStatusError(501, ""), newStatusError(404, body("NoSuchBucket")), newStatusError(403, "")} {
		if errors.Is(err, objstore.ErrTemporary) || errors.Is(err, objstore.ErrNotFound) {
			t.Errorf("%v will not pass, and is no missing object", err)
		}
	}
}
