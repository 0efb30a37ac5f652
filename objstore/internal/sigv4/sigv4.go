package sigv4

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Credentials are who signs.
type Credentials struct {
	AccessKeyID, SecretAccessKey string
	SessionToken                 string // of temporary credentials; else empty
}

// MaxExpiry is the longest time that a signature may hold.
const MaxExpiry = 7 * 24 * time.Hour

const (
	algorithm = "AWS4-HMAC-SHA256"
	service   = "s3"
	instant   = "20060102T150405Z"
	day       = "20060102"
)

// Sign returns the URL of a GET that holds from now on for the given time. Path and query of u are not escaped yet where Sign
// reads them (u.Path, u.Query), and are in what it returns.
func Sign(u url.URL, c Credentials, region string, now time.Time, expiry time.Duration) string {
	now = now.UTC()
	scope := strings.Join([]string{now.Format(day), region, service, "aws4_request"}, "/")
	query := u.Query()
	query.Set("X-Amz-Algorithm", algorithm)
	query.Set("X-Amz-Credential", c.AccessKeyID+"/"+scope)
	query.Set("X-Amz-Date", now.Format(instant))
	query.Set("X-Amz-Expires", strconv.FormatInt(int64(min(expiry, MaxExpiry)/time.Second), 10))
	query.Set("X-Amz-SignedHeaders", "host")
	if c.SessionToken != "" {
		query.Set("X-Amz-Security-Token", c.SessionToken)
	}
	path, canonicalQuery := EscapePath(cmp.Or(u.Path, "/")), EscapeQuery(query)
	request := strings.Join([]string{"GET", path, canonicalQuery, "host:" + u.Host + "\n", "host", "UNSIGNED-PAYLOAD"}, "\n")
	toSign := strings.Join([]string{algorithm, now.Format(instant), scope, hexSum(request)}, "\n")
	signature := hex.EncodeToString(mac(c.key(now, region), toSign))
	return u.Scheme + "://" + u.Host + path + "?" + canonicalQuery + "&X-Amz-Signature=" + signature
}

// key is the one for a day, a region and S3.
func (c Credentials) key(now time.Time, region string) []byte {
	key := mac([]byte("AWS4"+c.SecretAccessKey), now.Format(day))
	for _, part := range []string{region, service, "aws4_request"} {
		key = mac(key, part)
	}
	return key
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func hexSum(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// EscapePath escapes all but slashes and unreserved characters, which is what a signature is made over, and what every server
// takes for the same: S3 takes a plus sign for a space.
func EscapePath(path string) string { return strings.ReplaceAll(escape(path), "%2F", "/") }

// EscapeQuery writes a query in the order of its names, escaped in the same way.
func EscapeQuery(query url.Values) string {
	var pairs []string
	for name, values := range query {
		for _, value := range values {
			pairs = append(pairs, escape(name)+"="+escape(value))
		}
	}
	slices.Sort(pairs)
	return strings.Join(pairs, "&")
}

func escape(text string) string { return strings.ReplaceAll(url.QueryEscape(text), "+", "%20") }
