package s3store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/internal/wire"
	"github.com/litefs-s3/litefs-s3/objstore/s3store"
)

// What must never show up anywhere.
const (
	secretKey = "planted-secret-access-key/0123456789"
	accessKey = "AKIAPLANTEDPLANTED00"
	token     = "planted-session-token-0123456789"
)

// serve returns a store whose server answers every request with handler.
func serve(t *testing.T, handler http.HandlerFunc, change ...func(*s3store.Config)) *s3store.Store {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	cfg := s3store.Config{
		Bucket: "bucket", Region: "eu-north-1", Endpoint: server.URL,
		AccessKeyID: accessKey, SecretAccessKey: secretKey, SessionToken: token,
	}
	for _, f := range change {
		f(&cfg)
	}
	return open(t, cfg)
}

func xmlError(status int, code, message string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>%s</Message></Error>`, code, message)
	}
}

// calls is a request of each kind, for key app/x, and its errors.
func calls(ctx context.Context, s objstore.Store) map[string]error {
	get := s.ReadAt(ctx, objstore.Ref{Key: "app/x"}, make([]byte, 10), 5)
	_, suffix := s.ReadSuffix(ctx, objstore.Ref{Key: "app/x"}, 10)
	_, list := s.List(ctx, "app/x", "")
	_, put := s.Put(ctx, "app/x", bytes.NewReader(make([]byte, 100)), objstore.PutOptions{})
	_, create := s.Put(ctx, "app/x", bytes.NewReader(make([]byte, 100)), objstore.PutOptions{OnlyCreate: true})
	return map[string]error{
		"get": get, "suffix": suffix, "list": list, "put": put, "create": create,
		"delete": s.Delete(ctx, "app/x"), "delete many": s.Delete(ctx, "app/x", "app/x"),
	}
}

var kinds = map[string]error{
	"not found": objstore.ErrNotFound, "no bucket": objstore.ErrNoBucket, "changed": objstore.ErrChanged,
	"exists": objstore.ErrExists, "short": objstore.ErrShortObject, "access": objstore.ErrAccess,
	"read-only": objstore.ErrReadOnly, "unsupported": objstore.ErrUnsupported, "temporary": objstore.ErrTemporary,
	"canceled": context.Canceled, "deadline": context.DeadlineExceeded,
}

// kindOf names the one kind an error is of, or "plain".
func kindOf(err error) string {
	var all []string
	for name, kind := range kinds {
		if errors.Is(err, kind) {
			all = append(all, name)
		}
	}
	if len(all) == 0 {
		return "plain"
	}
	return strings.Join(all, " and ")
}

func TestErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		status        int
		code, message string
		kind, text    string
	}{
		{500, "InternalError", "We encountered an internal error.", "temporary", "status 500 InternalError: We encountered"},
		{503, "SlowDown", "Please reduce your request rate.", "temporary", "503 SlowDown"},
		{503, "", "", "temporary", "503"},
		{502, "", "", "temporary", "502"},
		{504, "", "", "temporary", "504"},
		{429, "TooManyRequests", "", "temporary", "429"},
		{408, "RequestCanceled", "shed", "temporary", "408"},
		{400, "RequestTimeout", "Your socket was idle.", "temporary", "RequestTimeout"},
		{409, "ConditionalRequestConflict", "Try again.", "temporary", "409"},
		{403, "AccessDenied", "Access Denied", "access", "s3:ListBucket"},
		{403, "SignatureDoesNotMatch", "The request signature does not match.", "access", "AWS_SECRET_ACCESS_KEY"},
		{403, "InvalidAccessKeyId", "No such key ID.", "access", "AWS_ACCESS_KEY_ID"},
		{403, "RequestTimeTooSkewed", "The difference is too large.", "access", "clock"},
		{400, "ExpiredToken", "The provided token has expired.", "access", "new temporary credentials"},
		{401, "", "", "access", "401"},
		{404, "NoSuchBucket", "The bucket does not exist.", "no bucket", "create the bucket \"bucket"},
		{400, "InvalidArgument", "No.", "plain", "400 InvalidArgument: No."},
		{400, "AuthorizationHeaderMalformed", "expecting 'us-west-2'", "plain", "set region or endpoint"},
		{301, "PermanentRedirect", "Use the specified endpoint.", "plain", "set region or endpoint"},
	} {
		t.Run(fmt.Sprint(test.status, test.code), func(t *testing.T) {
			t.Parallel()
			handler := xmlError(test.status, test.code, test.message)
			if test.code == "" {
				handler = func(w http.ResponseWriter, _ *http.Request) {
					w.WriteHeader(test.status)
					io.WriteString(w, "<html>a proxy's page</html>")
				}
			}
			for op, err := range calls(t.Context(), serve(t, handler)) {
				if got := kindOf(err); got != test.kind || !strings.Contains(err.Error(), test.text) {
					t.Errorf("%s: %s error %v, want a %s one with %q", op, got, err, test.kind, test.text)
				}
				var opErr *objstore.OpError
				if !errors.As(err, &opErr) || opErr.Key != "app/x" {
					t.Errorf("%s: %v is no OpError about app/x", op, err)
				}
			}
		})
	}
}

// TestErrors_Conditions is about what the same answer means to different requests.
func TestErrors_Conditions(t *testing.T) {
	t.Parallel()
	put := func(opts objstore.PutOptions) func(context.Context, objstore.Store) error {
		return func(ctx context.Context, s objstore.Store) error {
			_, err := s.Put(ctx, "app/x", bytes.NewReader([]byte("x")), opts)
			return err
		}
	}
	create, replace := put(objstore.PutOptions{OnlyCreate: true}), put(objstore.PutOptions{IfMatch: "e"})
	read := func(ctx context.Context, s objstore.Store) error {
		return s.ReadAt(ctx, objstore.Ref{Key: "app/x", ETag: "e"}, make([]byte, 1), 0)
	}
	for _, test := range []struct {
		name   string
		call   func(context.Context, objstore.Store) error
		status int
		code   string
		kind   string
	}{
		{"create", create, 412, "PreconditionFailed", "exists"},
		{"create in no bucket", create, 404, "NoSuchBucket", "no bucket"},
		{"create where it is not known", create, 501, "NotImplemented", "unsupported"},
		{"replace", replace, 412, "PreconditionFailed", "changed"},
		{"replace what is gone", replace, 404, "NoSuchKey", "changed"},
		{"read another version", read, 412, "PreconditionFailed", "changed"},
		{"read what is gone", read, 404, "NoSuchKey", "not found"},
		{"read past the end", read, 416, "InvalidRange", "short"},
	} {
		if err := test.call(t.Context(), serve(t, xmlError(test.status, test.code, ""))); kindOf(err) != test.kind {
			t.Errorf("%s: %s error %v, want %s", test.name, kindOf(err), err, test.kind)
		}
	}
}

// TestErrors_Bodies is about answers that are not what was asked for. The object has 1000 bytes.
func TestErrors_Bodies(t *testing.T) {
	t.Parallel()
	object := bytes.Repeat([]byte("0123456789"), 100)
	partial := func(contentRange string, body []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("ETag", `"e"`)
			w.Header().Set("Content-Range", contentRange)
			w.WriteHeader(206)
			w.Write(body)
		}
	}
	for _, test := range []struct {
		name         string
		handler      http.HandlerFunc
		readAt, tail string // kinds of the errors of reading bytes 10 to 20 and the last 10
	}{
		{"right for the range", partial("bytes 10-19/1000", object[10:20]), "", "temporary"},
		{"right for the suffix", partial("bytes 990-999/1000", object[990:]), "temporary", ""},
		{"shifted by one", partial("bytes 11-20/1000", object[11:21]), "temporary", "temporary"},
		{"one too few", partial("bytes 10-18/1000", object[10:19]), "temporary", "temporary"},
		{"one too many", partial("bytes 10-20/1000", object[10:21]), "temporary", "temporary"},
		{"range and length differ", partial("bytes 10-19/1000", object[10:30]), "temporary", "temporary"},
		{"object ends early", partial("bytes 10-14/15", object[10:15]), "short", "temporary"},
		{"nonsense", partial("bytes 10-9/1000", nil), "temporary", "temporary"},
		{"unknown size", partial("bytes 10-19/*", object[10:20]), "temporary", "temporary"},
		{"huge size", partial("bytes 10-9223372036854775806/9223372036854775807", object), "temporary", "temporary"},
		{"no range but all of a small object", func(w http.ResponseWriter, _ *http.Request) { w.Write(object) }, "", ""},
		{"no range, no length, small", func(w http.ResponseWriter, _ *http.Request) {
			w.Write(object)
			w.(http.Flusher).Flush()
		}, "", ""},
		{"no range and less than asked for", func(w http.ResponseWriter, _ *http.Request) { w.Write(object[:15]) }, "short", ""},
		{"no range, huge", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1099511627776")
			w.Write(object)
		}, "unsupported", "unsupported"},
		{"no range, endless", func(w http.ResponseWriter, _ *http.Request) {
			for range 1 << 20 {
				if _, err := w.Write(object); err != nil {
					return
				}
			}
		}, "unsupported", "unsupported"},
		{"cut", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "10")
			first := "10-19"
			if strings.HasPrefix(r.Header.Get("Range"), "bytes=-") {
				first = "990-999"
			}
			w.Header().Set("Content-Range", "bytes "+first+"/1000")
			w.WriteHeader(206)
			w.Write(object[:5])
		}, "temporary", "temporary"},
		{"connection closed", func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) }, "temporary", "temporary"},
		{"endless headers", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Endless", strings.Repeat("x", 11<<20))
		}, "temporary", "temporary"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			store := serve(t, test.handler)
			p := make([]byte, 10)
			err := store.ReadAt(t.Context(), objstore.Ref{Key: "app/x"}, p, 10)
			checkRead(t, err, test.readAt, p, object[10:20])
			part, err := store.ReadSuffix(t.Context(), objstore.Ref{Key: "app/x"}, 10)
			want := object[990:]
			if test.name == "no range and less than asked for" {
				want = object[5:15]
			}
			checkRead(t, err, test.tail, part.Data, want)
		})
	}
}

func checkRead(t *testing.T, err error, kind string, got, want []byte) {
	t.Helper()
	switch {
	case kind == "" && (err != nil || !bytes.Equal(got, want)):
		t.Errorf("got %q and %v, want %q", got, err, want)
	case kind != "" && (err == nil || kindOf(err) != kind):
		t.Errorf("got %v, want a %s error", err, kind)
	}
}

// TestErrors_IgnoredMatch is a server that does not know If-Match.
func TestErrors_IgnoredMatch(t *testing.T) {
	t.Parallel()
	store := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("ETag", `"new"`)
		w.Header().Set("Content-Range", "bytes 0-9/10")
		w.WriteHeader(206)
		w.Write(make([]byte, 10))
	})
	err := store.ReadAt(t.Context(), objstore.Ref{Key: "app/x", ETag: "old"}, make([]byte, 10), 0)
	if kindOf(err) != "changed" {
		t.Errorf("got %v", err)
	}
}

func TestErrors_Listings(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, body, kind string
	}{
		{"unordered", `<Contents><Key>app/b</Key></Contents><Contents><Key>app/a</Key></Contents>`, "unsupported"},
		{"start-after ignored", `<Contents><Key>app/0</Key></Contents>`, "unsupported"},
		{"prefix ignored", `<Contents><Key>other</Key></Contents>`, "unsupported"},
		{"empty but more", `<IsTruncated>true</IsTruncated>`, "temporary"},
		{"no XML", `<<<`, "temporary"},
	} {
		store := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `<?xml version="1.0"?><ListBucketResult>%s</ListBucketResult>`, test.body)
		})
		if _, err := store.List(t.Context(), "app/", "app/0"); kindOf(err) != test.kind {
			t.Errorf("%s: got %v, want %s", test.name, err, test.kind)
		}
	}
}

// hang never answers. It reads the body, since only then does the server notice that the client is gone.
func hang(began *atomic.Int64) http.HandlerFunc {
	return func(_ http.ResponseWriter, r *http.Request) {
		began.Add(1)
		defer began.Add(-1)
		io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}
}

// TestCancel wants each request to end with its context, and nothing left running on the server.
func TestCancel(t *testing.T) {
	t.Parallel()
	var running atomic.Int64
	store := serve(t, hang(&running), func(c *s3store.Config) { c.StallTimeout = time.Hour })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	for op, err := range calls(ctx, store) {
		if kindOf(err) != "deadline" {
			t.Errorf("%s: got %v", op, err)
		}
	}
	waitFor(t, "requests to end", func() bool { return running.Load() == 0 })
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func TestStall(t *testing.T) {
	t.Parallel()
	var running atomic.Int64
	for name, handler := range map[string]http.HandlerFunc{
		"no answer": hang(&running),
		"body stops": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "10")
			w.Header().Set("Content-Range", "bytes 5-14/15")
			w.WriteHeader(206)
			w.Write(make([]byte, 3))
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := serve(t, handler, func(c *s3store.Config) { c.StallTimeout = 100 * time.Millisecond })
			for op, err := range calls(t.Context(), store) {
				if name == "body stops" && op != "get" && op != "suffix" {
					continue
				}
				if kindOf(err) != "temporary" || !errors.Is(err, wire.ErrStalled) {
					t.Errorf("%s: got %v", op, err)
				}
			}
		})
	}
}

// TestStall_Slow is a body that takes longer than the stall timeout but keeps moving.
func TestStall_Slow(t *testing.T) {
	t.Parallel()
	store := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Range", "bytes 0-9/10")
		w.WriteHeader(206)
		for range 10 {
			time.Sleep(100 * time.Millisecond)
			w.Write([]byte("x"))
			w.(http.Flusher).Flush()
		}
	}, func(c *s3store.Config) { c.StallTimeout = 800 * time.Millisecond })
	if err := store.ReadAt(t.Context(), objstore.Ref{Key: "app/x"}, make([]byte, 10), 0); err != nil {
		t.Error(err)
	}
}

// TestSecrets plants credentials in whatever a server can say, and wants to see none of them again.
func TestSecrets(t *testing.T) {
	t.Parallel()
	all := []string{secretKey, accessKey, token}
	echo := func(status int, code string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			signature := r.Header.Get("Authorization")
			all := strings.Join(all, " ") + " " + signature + " https://x/?X-Amz-Signature=5ec1e7&amp;X-Amz-Credential=5ec1e7"
			w.Header().Set("X-Amz-Bucket-Region", all)
			xmlError(status, code, all)(w, r)
		}
	}
	for name, handler := range map[string]http.HandlerFunc{
		"denied":   echo(403, "AccessDenied"),
		"mismatch": echo(403, "SignatureDoesNotMatch"),
		"failed":   echo(500, "InternalError"),
		"redirect": echo(301, "PermanentRedirect"),
		"bad":      echo(400, secretKey),
		"closed":   func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"no XML": func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "<"+strings.Join(all, " "))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for op, err := range calls(t.Context(), serve(t, handler)) {
				if err == nil {
					continue // a put whose 200 has no body worth reading
				}
				text := fmt.Sprintf("%v %+v %#v %q", err, err, err, err)
				for _, secret := range append(all, "5ec1e7", "Credential="+accessKey[:4], "Signature=0", "AWS4-HMAC-SHA256 Credential=A") {
					if strings.Contains(text, secret) {
						t.Errorf("%s: %q is in %s", op, secret, text)
					}
				}
			}
		})
	}
}

// TestRegion_Followed is a bucket in another region than the one guessed, which the answer names.
func TestRegion_Followed(t *testing.T) {
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_CONFIG_FILE", "/nonexistent")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
	var seen []string
	transport := roundTripper(func(r *http.Request) (*http.Response, error) {
		seen = append(seen, r.URL.Host)
		if r.Body != nil {
			if n, _ := io.Copy(io.Discard, r.Body); n != r.ContentLength {
				t.Errorf("body of %d bytes, not %d", n, r.ContentLength)
			}
		}
		w := httptest.NewRecorder()
		if strings.Contains(r.URL.Host, "eu-north-1") {
			w.Header().Set("ETag", `"e"`)
		} else {
			w.Header().Set("X-Amz-Bucket-Region", "eu-north-1")
			xmlError(301, "PermanentRedirect", "elsewhere")(w, r)
		}
		return w.Result(), nil
	})
	cfg := s3store.Config{
		Bucket: "bucket", AccessKeyID: accessKey, SecretAccessKey: secretKey, HTTPClient: &http.Client{Transport: transport},
	}
	store := open(t, cfg)
	for range 2 {
		if _, err := store.Put(t.Context(), "app/x", bytes.NewReader([]byte("x")), objstore.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	want := "bucket.s3.us-east-1.amazonaws.com bucket.s3.eu-north-1.amazonaws.com bucket.s3.eu-north-1.amazonaws.com"
	if got := strings.Join(seen, " "); got != want || store.Region() != "eu-north-1" {
		t.Errorf("asked %s", got)
	}

	cfg.Region = "us-west-1" // somebody has said so
	_, err := open(t, cfg).Put(t.Context(), "app/x", bytes.NewReader([]byte("x")), objstore.PutOptions{})
	if err == nil || !strings.Contains(err.Error(), "set region=eu-north-1") || !strings.Contains(err.Error(), "went to us-west-1") {
		t.Errorf("got %v", err)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestDelete_Singly is a server without DeleteObjects, and one that refuses a key.
func TestDelete_Singly(t *testing.T) {
	t.Parallel()
	var batches, singles atomic.Int64
	store := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			batches.Add(1)
			xmlError(501, "NotImplemented", "")(w, r)
			return
		}
		singles.Add(1)
		if strings.HasSuffix(r.URL.Path, "locked") {
			xmlError(403, "AccessDenied", "")(w, r)
			return
		}
		w.WriteHeader(204)
	})
	for range 2 {
		err := store.Delete(t.Context(), "a", "locked", "b")
		if kindOf(err) != "access" || !strings.Contains(err.Error(), "locked") {
			t.Errorf("got %v", err)
		}
	}
	if batches.Load() != 1 || singles.Load() != 6 {
		t.Errorf("%d batches and %d single deletes, want 1 and 6", batches.Load(), singles.Load())
	}
}

func TestDelete_KeyErrors(t *testing.T) {
	t.Parallel()
	store := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Content-MD5") == "" {
			t.Error("no Content-MD5")
		}
		io.WriteString(w, `<?xml version="1.0"?><DeleteResult>`+
			`<Error><Key>a</Key><Code>SlowDown</Code><Message>m</Message></Error>`+
			`<Error><Key>b</Key><Code>NoSuchKey</Code></Error>`+
			`<Error><Key>c</Key><Code>AccessDenied</Code></Error></DeleteResult>`)
	})
	err := store.Delete(t.Context(), "a", "b", "c", "d")
	if !errors.Is(err, objstore.ErrTemporary) || !errors.Is(err, objstore.ErrAccess) || errors.Is(err, objstore.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if text := err.Error(); strings.Count(text, "delete") < 2 || strings.Contains(text, `"b"`) || strings.Contains(text, `"d"`) {
		t.Errorf("got %v", err)
	}
}

// TestHeaders looks at what a third-party store gets to see.
func TestHeaders(t *testing.T) {
	t.Parallel()
	var last http.Header
	var query string
	store := serve(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		last, query = r.Header, r.URL.RawQuery
		w.Header().Set("ETag", `"e"`)
		w.Header().Set("Content-Length", "0")
	}, func(c *s3store.Config) {
		c.SSECustomerKey = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
		c.StorageClass = "STANDARD_IA"
	})
	made := time.Date(2026, 11, 20, 15, 11, 12, 540_000_000, time.UTC)
	if _, err := store.Put(t.Context(), "app/x", bytes.NewReader([]byte("x")), objstore.PutOptions{Timestamp: made, IfMatch: "old"}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"If-Match": `"old"`, "Content-Type": "application/octet-stream", "X-Amz-Meta-Litestream-Timestamp": "2026-11-20T15:11:12.54Z",
		"X-Amz-Storage-Class": "STANDARD_IA", "X-Amz-Server-Side-Encryption-Customer-Algorithm": "AES256",
		"X-Amz-Server-Side-Encryption-Customer-Key-Md5": "KYvwGXoFFJ42a2u2GDWhwQ==", "X-Amz-Security-Token": token,
		"Content-Encoding": "", "X-Amz-Trailer": "", "X-Amz-Sdk-Checksum-Algorithm": "", "X-Amz-Checksum-Crc32": "",
	} {
		if got := last.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if hash := last.Get("X-Amz-Content-Sha256"); len(hash) != 64 {
		t.Errorf("payload is not signed: %q", hash)
	}
	_ = store.ReadAt(t.Context(), objstore.Ref{Key: "app/x", ETag: "e"}, make([]byte, 3), 4)
	if last.Get("Range") != "bytes=4-6" || last.Get("If-Match") != `"e"` || last.Get("Accept-Encoding") != "identity" ||
		last.Get("X-Amz-Server-Side-Encryption-Customer-Key") == "" {
		t.Errorf("got %v", last)
	}
	_, _ = store.List(t.Context(), "a b/ü", "a b/ü/+%")
	if query != "list-type=2&prefix=a%20b%2F%C3%BC&start-after=a%20b%2F%C3%BC%2F%2B%25" {
		t.Errorf("got query %s", query)
	}
}
