package s3store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/smithy-go/logging"

	"github.com/litefs-s3/litefs-s3/objstore"
)

// instanceTimeout bounds the search when only the role of an EC2 instance is left: it answers at once or not at all.
const (
	instanceTimeout    = 2 * time.Second
	credentialsTimeout = 15 * time.Second
)

// loadAWS reads the environment and the shared configuration files, and finds out where credentials come from without
// asking for them yet. HTTPClient is left to the SDK, since AWS_CA_BUNDLE fails with any other one.
func loadAWS(ctx context.Context, cfg Config) (aws.Config, error) {
	options := []func(*config.LoadOptions) error{
		config.WithDefaultsMode(aws.DefaultsModeStandard), // AWS_DEFAULTS_MODE=auto would wait for a cloud
		config.WithLogger(logging.Nop{}),                  // errors say it; standard error is the program's
	}
	if cfg.Region != "" {
		options = append(options, config.WithRegion(cfg.Region))
	}
	if cfg.Profile != "" {
		options = append(options, config.WithSharedConfigProfile(cfg.Profile))
	}
	if provider := cfg.givenCredentials(); provider != nil {
		options = append(options, config.WithCredentialsProvider(provider))
	}
	loaded, err := config.LoadDefaultConfig(ctx, options...)
	var unknown config.SharedConfigProfileNotExistError
	switch {
	case errors.As(err, &unknown):
		return aws.Config{}, fmt.Errorf("profile %q is in none of the shared AWS files; mend profile=… of the URL, or AWS_PROFILE: %w",
			unknown.Profile, objstore.ErrAccess)
	case err != nil:
		return aws.Config{}, fmt.Errorf("AWS configuration: %w", err)
	}
	return loaded, nil
}

// givenCredentials returns what needs no search, or nil.
func (c Config) givenCredentials() aws.CredentialsProvider {
	switch {
	case c.Anonymous:
		return aws.AnonymousCredentials{}
	case c.Credentials != nil:
		return c.Credentials
	case c.AccessKeyID != "":
		return credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey, c.SessionToken)
	case c.Profile != "":
		return nil
	}
	return litestreamCredentials()
}

// litestreamCredentials completes what is missing of the AWS_ pair, which the SDK takes when it is whole, from
// Litestream's variables. Litestream takes each half on its own, too.
func litestreamCredentials() aws.CredentialsProvider {
	id, secret := os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY")
	if id != "" && secret != "" {
		return nil
	}
	id = cmp.Or(id, os.Getenv("LITESTREAM_ACCESS_KEY_ID"))
	secret = cmp.Or(secret, os.Getenv("LITESTREAM_SECRET_ACCESS_KEY"))
	if id == "" || secret == "" {
		return nil
	}
	return credentials.NewStaticCredentialsProvider(id, secret, "")
}

// halfPair says which half of the credentials in the environment is missing when the other one is there; nothing else says so.
func halfPair() string {
	const id, secret = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"
	switch {
	case os.Getenv(id) != "" && os.Getenv(secret) == "":
		return id + " is set, and " + secret + " is not"
	case os.Getenv(id) == "" && os.Getenv(secret) != "":
		return secret + " is set, and " + id + " is not"
	}
	return ""
}

// resolve asks for credentials once, so that a missing set is an error now and not a wait in every request.
func (s *Store) resolve(ctx context.Context) error {
	limit := credentialsTimeout
	instance := aws.IsCredentialsProvider(s.aws.Credentials, (*ec2rolecreds.Provider)(nil))
	if instance {
		limit = instanceTimeout
	}
	if s.cfg.CredentialsTimeout > 0 {
		limit = s.cfg.CredentialsTimeout
	}
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	_, err := s.credentials.Retrieve(limited)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case instance && halfPair() != "":
		return fmt.Errorf("no credentials: %s: %w", halfPair(), objstore.ErrAccess)
	case instance:
		return fmt.Errorf("no credentials: tried AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, the LITESTREAM_ pair,"+
			" web identity, the shared AWS files, the container's role and (for %v) that of an EC2 instance;"+
			" set the first two, or anonymous=true for a public bucket: %w", limit, objstore.ErrAccess)
	case limited.Err() != nil:
		return fmt.Errorf("credentials did not arrive within %v: %w", limit, objstore.ErrAccess)
	}
	return fmt.Errorf("credentials: %s: %w", s.redact(err.Error()), objstore.ErrAccess)
}

// watchedCredentials remembers what must not be said, and marks errors as its own.
type watchedCredentials struct {
	aws.CredentialsProvider
	store *Store

	mu   sync.Mutex
	last aws.Credentials // guarded by mu
}

// credentialsError is a failure to get credentials in the middle of the work.
type credentialsError struct{ err error }

func (e *credentialsError) Error() string { return e.err.Error() }

func (e *credentialsError) Unwrap() error { return e.err }

func (w *watchedCredentials) Retrieve(ctx context.Context) (aws.Credentials, error) {
	got, err := w.CredentialsProvider.Retrieve(ctx)
	if err != nil {
		return got, &credentialsError{err}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if got.SecretAccessKey != w.last.SecretAccessKey || got.SessionToken != w.last.SessionToken {
		w.last = got
		w.store.keepSecret(got)
	}
	return got, nil
}

// keepSecret makes redact know the credentials in use.
func (s *Store) keepSecret(c aws.Credentials) {
	var pairs []string
	for _, secret := range []string{c.SecretAccessKey, c.SessionToken, c.AccessKeyID, s.cfg.SSECustomerKey} {
		if secret != "" {
			pairs = append(pairs, secret, "[redacted]")
		}
	}
	s.secrets.Store(strings.NewReplacer(pairs...))
}
