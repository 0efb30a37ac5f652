package sigv4

import (
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

var example = Credentials{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}

// TestSign_Published is the example of "Authenticating Requests: Using Query Parameters" in the Amazon S3 API reference.
func TestSign_Published(t *testing.T) {
	t.Parallel()
	u := url.URL{Scheme: "https", Host: "examplebucket.s3.amazonaws.com", Path: "/test.txt"}
	got := Sign(u, example, "us-east-1", time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC), 24*time.Hour)
	want := "https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256" +
		"&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request" +
		"&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host" +
		"&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestSign_AsSDK compares with the SDK's signer, over keys and queries that are easily escaped wrongly.
func TestSign_AsSDK(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 2))
	now := time.Date(2026, 11, 20, 23, 59, 58, 0, time.FixedZone("", 3600))
	for range 300 {
		u := url.URL{Scheme: "https", Host: "b.example.com:9000", Path: "/" + odd(rnd)}
		if rnd.IntN(2) == 0 {
			u.RawQuery = EscapeQuery(url.Values{"list-type": {"2"}, "prefix": {odd(rnd)}, "start-after": {odd(rnd)}})
		}
		c := example
		if rnd.IntN(2) == 0 {
			c.SessionToken = odd(rnd)
		}
		if got, want := Sign(u, c, "eu-central-1", now, time.Hour), signedBySDK(t, u, c, now, time.Hour); got != want {
			t.Fatalf("got\n%s\nthe SDK has\n%s", got, want)
		}
	}
}

// odd is a text of characters that URLs and signatures treat in their own way.
func odd(rnd *rand.Rand) string {
	characters := []rune("ab/ +%&=?#;,:@$!'()*~-_.<>\"ü🙂")
	var text strings.Builder
	text.WriteByte('a')
	for range rnd.IntN(12) {
		text.WriteRune(characters[rnd.IntN(len(characters))])
	}
	return text.String()
}

// signedBySDK is the same URL as the SDK signs it, its query in our order.
func signedBySDK(t *testing.T, u url.URL, c Credentials, now time.Time, expiry time.Duration) string {
	t.Helper()
	query := u.Query()
	query.Set("X-Amz-Expires", "3600")
	u.RawPath, u.RawQuery = EscapePath(u.Path), EscapeQuery(query)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, u.String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	creds := aws.Credentials{AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, SessionToken: c.SessionToken}
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	signed, _, err := signer.PresignHTTP(t.Context(), creds, req, "UNSIGNED-PAYLOAD", service, "eu-central-1", now)
	if err != nil {
		t.Fatal(err)
	}
	got, err := url.Parse(signed)
	if err != nil {
		t.Fatal(err)
	}
	query = got.Query()
	signature := query.Get("X-Amz-Signature")
	query.Del("X-Amz-Signature")
	return u.Scheme + "://" + u.Host + EscapePath(u.Path) + "?" + EscapeQuery(query) + "&X-Amz-Signature=" + signature
}
