package s3store

import (
	"crypto/md5"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/litefs-s3/litefs-s3/objstore/internal/reply"
)

// Toggle is a setting that has a default of its own.
type Toggle int8

const (
	Default Toggle = iota
	On
	Off
)

// or returns the setting as a bool, with otherwise for Default.
func (t Toggle) or(otherwise bool) bool {
	if t == Default {
		return otherwise
	}
	return t == On
}

func toggle(on bool) Toggle {
	if on {
		return On
	}
	return Off
}

// Config says which bucket to use and how. Only Bucket is required.
type Config struct {
	// Bucket is the name of the bucket, or the ARN of an access point.
	Bucket string
	// Region is the region requests are signed for. Empty means AWS_REGION, then the profile's, then us-east-1; in the
	// last case a bucket of Amazon's that says it is elsewhere is followed there.
	Region string
	// Endpoint is the URL of a server other than Amazon's. Without a scheme it is https, or http for this machine and
	// private networks. Empty means LITESTREAM_S3_ENDPOINT, AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL, then Amazon.
	Endpoint string
	// ForcePathStyle puts the bucket into the path instead of the host name. Default is On with an endpoint.
	ForcePathStyle Toggle

	// AccessKeyID and SecretAccessKey are static credentials, with SessionToken if they are temporary. Both or none.
	AccessKeyID     string
	SecretAccessKey string
	SessionToken    string
	// Profile is the name of a profile in the shared AWS configuration files. Empty means AWS_PROFILE, then "default".
	Profile string
	// Credentials, when not nil, is asked for credentials instead of everything else.
	Credentials aws.CredentialsProvider
	// Anonymous sends requests without a signature, for public buckets.
	Anonymous bool

	// HTTPClient sends the requests. Nil means one with many idle connections, HTTP/1.1 and no compression. SkipVerify
	// and CAFile need nil; AWS_CA_BUNDLE has no effect on another client.
	HTTPClient *http.Client
	// SkipVerify accepts every certificate.
	SkipVerify bool
	// CAFile is a PEM file of authorities to trust beside the system's. Empty means AWS_CA_BUNDLE, if set.
	CAFile string
	// StallTimeout ends a request on which no byte moves for so long. Zero means 30 s.
	StallTimeout time.Duration
	// CredentialsTimeout bounds the search for credentials in Open. Zero means 15 s, but 2 s for the role of an EC2
	// instance, which is the last resort and never answers elsewhere.
	CredentialsTimeout time.Duration

	// SignPayload includes the content of uploads in the signature. Default is On.
	SignPayload Toggle
	// SignAcceptEncoding includes the header Accept-Encoding in the signature. Default is On, but for Google's storage.
	SignAcceptEncoding Toggle
	// RequireContentMD5 sends Content-MD5 when deleting. Default is On, but for Tigris.
	RequireContentMD5 Toggle
	// PutObjectContentMD5 sends Content-MD5 when uploading.
	PutObjectContentMD5 bool

	// PartSize is the size from which an upload goes in parts, and that of its parts: at least 5 MiB. Zero means
	// 16 MiB. Parts grow when an object would have more than 10,000.
	PartSize int64
	// Concurrency is the number of parts of one upload under way at once. Zero means 4, but 2 for R2 and Tigris.
	Concurrency int
	// StorageClass of new objects. Empty means the bucket's.
	StorageClass string

	// SSECustomerKey is a base64 key of 256 bits that the server encrypts objects with and forgets. It needs https.
	SSECustomerKey string
	// SSECustomerAlgorithm is AES256. Empty means the same, when there is a key.
	SSECustomerAlgorithm string
	// SSECustomerKeyMD5 is the base64 MD5 of the key. Empty means computed.
	SSECustomerKeyMD5 string
	// SSEKMSKeyID is the key of Amazon's key service that new objects are encrypted with.
	SSEKMSKeyID string
}

const (
	defaultRegion   = "us-east-1"
	defaultPartSize = 16 << 20
	minPartSize     = 5 << 20
	maxParts        = 10_000
)

// withDefaults fills in what depends on nothing but the Config itself. The endpoint must be settled.
func (c Config) withDefaults() Config {
	p := providerOf(c.Endpoint)
	c.ForcePathStyle = toggle(c.ForcePathStyle.or(c.Endpoint != ""))
	c.SignPayload = toggle(c.SignPayload.or(true))
	c.SignAcceptEncoding = toggle(c.SignAcceptEncoding.or(!p.unsignedAcceptEncoding))
	c.RequireContentMD5 = toggle(c.RequireContentMD5.or(!p.noDeleteMD5))
	if c.PartSize == 0 {
		c.PartSize = defaultPartSize
	}
	if c.Concurrency == 0 {
		c.Concurrency = p.concurrency
	}
	if c.StallTimeout == 0 {
		c.StallTimeout = 30 * time.Second
	}
	if c.SSECustomerKey != "" {
		c.SSECustomerAlgorithm = "AES256"
		if key, err := base64.StdEncoding.DecodeString(c.SSECustomerKey); err == nil && c.SSECustomerKeyMD5 == "" {
			sum := md5.Sum(key)
			c.SSECustomerKeyMD5 = base64.StdEncoding.EncodeToString(sum[:])
		}
	}
	return c
}

var bucketName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{1,254}$`)

// validate refuses what cannot work. It runs before withDefaults. Its errors hold no secrets.
func (c Config) validate() error {
	for _, check := range []func() error{
		c.validateBucket, c.validateEndpoint, c.validateCredentials, c.validateClient, c.validateUpload, c.validateEncryption,
	} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (c Config) validateBucket() error {
	switch {
	case c.Bucket == "":
		return errors.New("a bucket is required: s3://bucket/path")
	case strings.HasPrefix(c.Bucket, "arn:"):
		return nil
	case !bucketName.MatchString(c.Bucket):
		return fmt.Errorf("%.100q is not the name of a bucket; a server other than Amazon's goes into a parameter:"+
			" s3://bucket/path?endpoint=http://localhost:9000", c.Bucket)
	case strings.HasSuffix(c.Bucket, "--x-s3"):
		return fmt.Errorf("bucket %q is an S3 Express directory bucket, which does not list keys in order; use one of"+
			" another class: %w", c.Bucket, reply.ErrUnordered)
	}
	return nil
}

func (c Config) validateEndpoint() error {
	if c.Endpoint == "" {
		return nil
	}
	whole := withScheme(c.Endpoint)
	u, err := url.Parse(whole)
	switch {
	case err != nil || u.Hostname() == "" || strings.Count(whole, "://") != 1:
		return fmt.Errorf("the endpoint%s is not a URL such as https://s3.example.com:9000", harmless(c.Endpoint))
	case u.User != nil:
		return errors.New("the endpoint holds a user name; credentials go into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	case u.RawQuery != "" || u.Fragment != "":
		return errors.New("the endpoint holds more than scheme, host, port and path")
	}
	return nil
}

// harmless is text to quote in an error, after a space, or nothing when it might hold credentials.
func harmless(text string) string {
	if strings.ContainsAny(text, "@?") {
		return ""
	}
	return fmt.Sprintf(" %.100q", text)
}

func (c Config) validateCredentials() error {
	ways := 0
	for _, set := range []bool{c.AccessKeyID != "", c.Profile != "", c.Credentials != nil, c.Anonymous} {
		if set {
			ways++
		}
	}
	switch {
	case (c.AccessKeyID == "") != (c.SecretAccessKey == ""):
		return errors.New("an access key ID and a secret access key go together; only one is set")
	case c.SessionToken != "" && c.AccessKeyID == "":
		return errors.New("a session token goes together with an access key ID and a secret access key")
	case ways > 1:
		return errors.New("set one of static credentials, profile, credentials provider and anonymous")
	}
	return nil
}

func (c Config) validateClient() error {
	switch {
	case c.HTTPClient != nil && (c.SkipVerify || c.CAFile != ""):
		return errors.New("skip-verify and ca-file have no effect on an HTTP client of your own; set them there")
	case c.StallTimeout < 0 || c.CredentialsTimeout < 0:
		return errors.New("a timeout cannot be negative")
	}
	return nil
}

func (c Config) validateUpload() error {
	switch {
	case c.PartSize != 0 && c.PartSize < minPartSize:
		return fmt.Errorf("part-size is %d bytes; S3 wants at least %d", c.PartSize, int64(minPartSize))
	case c.PartSize > 5<<30:
		return fmt.Errorf("part-size is %d bytes; S3 takes at most %d", c.PartSize, int64(5<<30))
	case c.Concurrency < 0:
		return fmt.Errorf("concurrency is %d; it must be positive", c.Concurrency)
	}
	return nil
}

func (c Config) validateEncryption() error {
	if c.SSECustomerKey == "" {
		if c.SSECustomerAlgorithm != "" || c.SSECustomerKeyMD5 != "" {
			return errors.New("sse-customer-algorithm and sse-customer-key-md5 need sse-customer-key")
		}
		return nil
	}
	key, err := base64.StdEncoding.DecodeString(c.SSECustomerKey)
	switch {
	case c.SSEKMSKeyID != "":
		return errors.New("set one of sse-customer-key and sse-kms-key-id")
	case c.SSECustomerAlgorithm != "" && c.SSECustomerAlgorithm != "AES256":
		return fmt.Errorf("sse-customer-algorithm is %.20q; it must be AES256", c.SSECustomerAlgorithm)
	case err != nil || len(key) != 32:
		return errors.New("sse-customer-key is not the base64 form of 32 bytes")
	case !c.mayCarryKeys():
		return errors.New("sse-customer-key needs an https endpoint, but for this machine and private networks")
	}
	return nil
}

// mayCarryKeys says whether nobody listens on the way to the endpoint.
func (c Config) mayCarryKeys() bool {
	u, err := url.Parse(withScheme(c.Endpoint))
	if c.Endpoint == "" || err != nil || u.Scheme == "https" {
		return true
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || (err == nil && (ip.IsLoopback() || ip.IsPrivate()))
}

// withScheme completes an endpoint as Litestream does: http for what looks local, otherwise https.
func withScheme(endpoint string) string {
	if endpoint == "" || strings.HasPrefix(endpoint, "http://") || strings.HasPrefix(endpoint, "https://") {
		return endpoint
	}
	if isLocal(hostOf(endpoint)) {
		return "http://" + endpoint
	}
	return "https://" + endpoint
}

// hostOf returns the host name of an endpoint with or without a scheme, in lower case, or nothing.
func hostOf(endpoint string) string {
	if !strings.Contains(endpoint, "://") {
		endpoint = "//" + endpoint
	}
	u, err := url.Parse(endpoint)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Hostname())
}

func isLocal(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.IsLoopback() || ip.IsPrivate()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || strings.HasSuffix(host, ".local")
}
