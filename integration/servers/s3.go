package servers

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// Region is the region that the stores sign for.
const Region = "us-east-1"

// S3 is the plainest S3 client: one signed request a call, path style, no retry. Tests look into a bucket with it, or
// damage one, without relying on the code under test. Its methods are safe for concurrent use.
type S3 struct {
	Endpoint  string // http://host:port, of the server or of a proxy before it
	AccessKey string
	SecretKey string
	Token     string         // of temporary credentials; else empty
	CA        *x509.CertPool // whom a server with https is believed for; nil means the system's
}

// Object is what a listing says of one object.
type Object struct {
	Key          string
	Size         int64
	ETag         string
	LastModified time.Time
}

// StatusError is an answer of the server that is not a success.
type StatusError struct {
	Status int
	Code   string // S3's own, such as NoSuchKey
	Detail string
}

func (e *StatusError) Error() string { return fmt.Sprintf("%d %s: %s", e.Status, e.Code, e.Detail) }

// answers returns nil if the server lists its buckets, which it does once it can do everything else.
func (s S3) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, err := s.do(ctx, http.MethodGet, "", nil, nil, nil)
	return err
}

// CreateBucket makes a bucket. One that is there already is an error.
func (s S3) CreateBucket(ctx context.Context, name string) error {
	_, err := s.do(ctx, http.MethodPut, name, nil, nil, nil)
	return err
}

// RemoveBucket removes a bucket with everything in it, which only MinIO can do.
func (s S3) RemoveBucket(ctx context.Context, name string) error {
	_, err := s.do(ctx, http.MethodDelete, name, nil, http.Header{"X-Minio-Force-Delete": {"true"}}, nil)
	return err
}

// List returns all objects whose keys begin with prefix, in order.
func (s S3) List(ctx context.Context, bucket, prefix string) ([]Object, error) {
	var all []Object
	query := url.Values{"list-type": {"2"}, "prefix": {prefix}}
	for {
		body, err := s.do(ctx, http.MethodGet, bucket, query, nil, nil)
		if err != nil {
			return nil, err
		}
		var page struct {
			Contents              []Object
			NextContinuationToken string
		}
		if err := xml.Unmarshal(body, &page); err != nil {
			return nil, fmt.Errorf("listing of %s/%s: %w", bucket, prefix, err)
		}
		all = append(all, page.Contents...)
		if page.NextContinuationToken == "" {
			return all, nil
		}
		query.Set("continuation-token", page.NextContinuationToken)
	}
}

// Get returns an object whole.
func (s S3) Get(ctx context.Context, bucket, key string) ([]byte, error) {
	return s.do(ctx, http.MethodGet, bucket+"/"+key, nil, nil, nil)
}

// Put stores an object with the given metadata ("litestream-timestamp": "…"), which may be nil.
func (s S3) Put(ctx context.Context, bucket, key string, data []byte, metadata map[string]string) error {
	header := make(http.Header)
	for name, value := range metadata {
		header.Set("X-Amz-Meta-"+name, value)
	}
	_, err := s.do(ctx, http.MethodPut, bucket+"/"+key, nil, header, data)
	return err
}

// Delete removes an object; one that is not there counts as removed.
func (s S3) Delete(ctx context.Context, bucket, key string) error {
	_, err := s.do(ctx, http.MethodDelete, bucket+"/"+key, nil, nil, nil)
	return err
}

// AllowAnonymous lets everybody do the given actions ("s3:GetObject") in a bucket, and nothing else.
func (s S3) AllowAnonymous(ctx context.Context, bucket string, actions ...string) error {
	policy := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":["*"]},`+
		`"Action":["%s"],"Resource":["arn:aws:s3:::%s","arn:aws:s3:::%s/*"]}]}`, strings.Join(actions, `","`), bucket, bucket)
	_, err := s.do(ctx, http.MethodPut, bucket, url.Values{"policy": {""}}, nil, []byte(policy))
	return err
}

// do sends one signed request and returns the whole answer. Its errors name the resource and hold no credentials.
func (s S3) do(
	ctx context.Context, method, resource string, query url.Values, header http.Header, body []byte,
) ([]byte, error) {
	data, err := s.roundTrip(ctx, method, resource, query, header, body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", strings.ToLower(method), resource, err)
	}
	return data, nil
}

func (s S3) roundTrip(
	ctx context.Context, method, resource string, query url.Values, header http.Header, body []byte,
) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, s.Endpoint, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.URL.Path, req.URL.RawPath = "/"+resource, "/"+strings.ReplaceAll(escape(resource), "%2F", "/")
	req.URL.RawQuery = escapeQuery(query)
	for name, values := range header {
		req.Header[name] = values
	}
	return s.send(ctx, "s3", req, body)
}

// send signs a request for a service and returns the whole answer.
func (s S3) send(ctx context.Context, service string, req *http.Request, body []byte) ([]byte, error) {
	if err := s.sign(ctx, service, req, body); err != nil {
		return nil, err
	}
	// A connection of its own: a kept one would be dead after the server was restarted.
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true, DisableCompression: true, TLSClientConfig: &tls.Config{RootCAs: s.CA},
	}}
	resp, err := client.Do(req)
	if err != nil {
		return nil, errors.Unwrap(err) // without the URL: the caller names the resource
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	if resp.StatusCode >= 300 {
		return nil, statusError(resp.StatusCode, data)
	}
	return data, nil
}

func (s S3) sign(ctx context.Context, service string, req *http.Request, body []byte) error {
	hash := fmt.Sprintf("%x", sha256.Sum256(body))
	req.Header.Set("X-Amz-Content-Sha256", hash)
	creds := aws.Credentials{AccessKeyID: s.AccessKey, SecretAccessKey: s.SecretKey, SessionToken: s.Token}
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	return signer.SignHTTP(ctx, creds, req, hash, service, Region, time.Now())
}

// escape writes every byte but letters, digits and -_.~ as %XX, which is what the signature is made over.
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

func escapeQuery(query url.Values) string { return strings.ReplaceAll(query.Encode(), "+", "%20") }

func statusError(status int, body []byte) error {
	var answer struct{ Code, Message string }
	if xml.Unmarshal(body, &answer) != nil {
		answer.Message = lastBytes(string(body), 200)
	}
	return &StatusError{Status: status, Code: cmp.Or(answer.Code, http.StatusText(status)), Detail: answer.Message}
}

// URL is the replica URL of prefix in bucket, as the VFS and Litestream take it. It holds no credentials; Env does.
func (s S3) URL(bucket, prefix string) string {
	query := url.Values{"endpoint": {s.Endpoint}, "region": {Region}, "force-path-style": {"true"}}
	return fmt.Sprintf("s3://%s/%s?%s", bucket, strings.Trim(prefix, "/"), query.Encode())
}

// Env returns the credentials as environment variables (NAME=value) for a program that is to use the server.
func (s S3) Env() []string {
	return []string{
		"AWS_ACCESS_KEY_ID=" + s.AccessKey,
		"AWS_SECRET_ACCESS_KEY=" + s.SecretKey,
		"AWS_REGION=" + Region,
		"AWS_SESSION_TOKEN=" + s.Token,
		"AWS_EC2_METADATA_DISABLED=true", // no wait for a cloud that is not there
	}
}
