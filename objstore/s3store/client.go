package s3store

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/logging"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/internal/wire"
)

// Store is a bucket. Its methods are safe for concurrent use. It holds no goroutines, and no connections but idle
// ones, which CloseIdle closes.
type Store struct {
	cfg          Config // complete
	aws          aws.Config
	httpClient   *http.Client
	credentials  aws.CredentialsProvider
	provider     provider
	followRegion bool // nobody has named a region, so the bucket may

	client        atomic.Pointer[s3.Client] // replaced when the bucket turns out to be in another region
	secrets       atomic.Pointer[strings.Replacer]
	noBatchDelete atomic.Bool // the server knows no DeleteObjects
}

var _ objstore.Store = (*Store)(nil)

// Open returns the store for a bucket. It resolves credentials, which may take requests to where those come from, and
// asks nothing of the bucket. The environment is read here and not again.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	store, err := open(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open bucket %.100q: %w", cfg.Bucket, err)
	}
	return store, nil
}

func open(ctx context.Context, cfg Config) (*Store, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	loaded, err := loadAWS(ctx, cfg)
	if err != nil {
		return nil, err
	}
	cfg.Endpoint = cmp.Or(cfg.Endpoint, foundEndpoint(loaded))
	if err := cfg.validate(); err != nil { // the endpoint may be new
		return nil, err
	}
	cfg.Endpoint = withScheme(cfg.Endpoint)
	s := &Store{cfg: cfg.withDefaults(), aws: loaded, provider: providerOf(cfg.Endpoint)}
	if err := s.setUpClient(); err != nil {
		return nil, err
	}
	s.followRegion = loaded.Region == "" && cfg.Endpoint == ""
	s.client.Store(s.newClient(cmp.Or(loaded.Region, defaultRegion)))
	s.keepSecret(aws.Credentials{})
	if cfg.Anonymous {
		return s, nil
	}
	return s, s.resolve(ctx)
}

// foundEndpoint returns the endpoint of Litestream's variable, or what the SDK finds in the environment and in the
// shared files.
func foundEndpoint(loaded aws.Config) string {
	return cmp.Or(os.Getenv("LITESTREAM_S3_ENDPOINT"), aws.ToString(s3.NewFromConfig(loaded).Options().BaseEndpoint))
}

// setUpClient prepares what all S3 clients of the store share.
func (s *Store) setUpClient() error {
	client := http.Client{}
	if s.cfg.HTTPClient != nil {
		client = *s.cfg.HTTPClient
		client.Transport = cmp.Or(client.Transport, http.DefaultTransport)
	} else {
		tlsConfig, err := s.cfg.tlsConfig()
		if err != nil {
			return err
		}
		client.Transport = wire.Shared()
		if tlsConfig != nil {
			client.Transport = wire.NewTransport(tlsConfig)
		}
	}
	client.Transport = wire.GuardStalls(client.Transport, s.cfg.StallTimeout)
	client.CheckRedirect = func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse // signatures do not travel
	}
	s.httpClient = &client

	s.credentials = aws.AnonymousCredentials{}
	if !s.cfg.Anonymous {
		s.credentials = &watchedCredentials{CredentialsProvider: s.aws.Credentials, store: s}
	}
	return nil
}

// tlsConfig returns nil if the defaults will do.
func (c Config) tlsConfig() (*tls.Config, error) {
	file := cmp.Or(c.CAFile, os.Getenv("AWS_CA_BUNDLE"))
	if file == "" && !c.SkipVerify {
		return nil, nil
	}
	tlsConfig := &tls.Config{InsecureSkipVerify: c.SkipVerify}
	if file == "" {
		return tlsConfig, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("certificates to trust: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // a platform without any
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("certificates to trust: there is none in PEM form in %s", file)
	}
	tlsConfig.RootCAs = pool
	return tlsConfig, nil
}

func (s *Store) newClient(region string) *s3.Client {
	return s3.NewFromConfig(s.aws, func(o *s3.Options) {
		o.Region = region
		o.Credentials = s.credentials
		o.HTTPClient = s.httpClient
		o.Retryer = aws.NopRetryer{} // objstore.Retry does it
		o.Logger, o.ClientLogMode = logging.Nop{}, 0
		o.DisableLogOutputChecksumValidationSkipped = true
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired // ranges have none
		o.UsePathStyle = s.cfg.ForcePathStyle == On
		o.UseARNRegion = true
		o.APIOptions = append(o.APIOptions, s.addMiddleware)
		if s.cfg.Endpoint != "" {
			o.BaseEndpoint = &s.cfg.Endpoint
			o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired // aws-chunked is refused by many
		}
	})
}

func (s *Store) region() string { return s.client.Load().Options().Region }

// CloseIdle closes connections that are not in use, or lets go of them when other stores of the process use them too.
func (s *Store) CloseIdle() { s.httpClient.CloseIdleConnections() }

// call sends one request. When the bucket is in another region than the one guessed, it sends it once more, there.
func call[T any](ctx context.Context, s *Store, send func(context.Context, *s3.Client) (T, error)) (T, error) {
	client := s.client.Load()
	out, err := send(ctx, client)
	if err != nil && s.followRegion && s.moveTo(client, bucketRegion(err)) {
		return send(ctx, s.client.Load())
	}
	return out, err
}

// moveTo switches to region, unless somebody else has switched away from the client that failed.
func (s *Store) moveTo(failed *s3.Client, region string) bool {
	if region == "" || region == failed.Options().Region {
		return false
	}
	s.client.CompareAndSwap(failed, s.newClient(region))
	return true
}

// bucketRegion returns the region that an error says the bucket is in, or nothing.
func bucketRegion(err error) string {
	var response *smithyhttp.ResponseError
	if !errors.As(err, &response) || response.Response == nil {
		return ""
	}
	switch response.Response.StatusCode {
	case http.StatusMovedPermanently, http.StatusTemporaryRedirect, http.StatusBadRequest:
		return response.Response.Header.Get("X-Amz-Bucket-Region")
	}
	return ""
}

// runsInBrowser says whether requests go through fetch, which sets Accept-Encoding as it likes.
const runsInBrowser = runtime.GOOS == "js"
