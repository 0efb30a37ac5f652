package fetchstore

import (
	"context"
	"net/url"
	"sync"
	"time"

	"github.com/litefs-s3/litefs-s3/objstore/internal/sigv4"
)

// Credentials are what requests are signed with.
type Credentials struct {
	AccessKeyID, SecretAccessKey string
	SessionToken                 string    // of temporary credentials; else empty
	Expires                      time.Time // when they end; zero is not known
}

// Provider returns the credentials of now. It is asked when there are none yet and when the last ones have expired, not for every
// request.
type Provider func(ctx context.Context) (Credentials, error)

const (
	// signatureLife is how long a URL holds: longer than a request that is made again and again may take.
	signatureLife = 15 * time.Minute
	// renewAhead is how long before their end credentials are replaced.
	renewAhead = time.Minute
)

// Bucket is a bucket that wants signatures, or one without credentials that does not.
type Bucket struct {
	base   url.URL // of the bucket, without a slash at the end of its path
	root   string  // of the replica in it, with a slash at its end
	region string
	ask    Provider      // nil is none
	asking chan struct{} // holds a token while somebody asks

	mu    sync.Mutex
	known Credentials // guarded by mu
	stale bool        // known are not to be used any more; guarded by mu
}

// Object implements Place.
func (b *Bucket) Object(ctx context.Context, key string) (string, error) {
	u := b.base
	u.Path += "/" + b.root + key
	return b.sign(ctx, u)
}

// Listings implements Place.
func (b *Bucket) Listings(ctx context.Context, prefix, startAfter string) ([]Listing, error) {
	u := b.base
	u.Path += "/"
	u.RawQuery = sigv4.EscapeQuery(listQuery(b.root+prefix, b.root, startAfter))
	signed, err := b.sign(ctx, u)
	return []Listing{{URL: signed, Root: b.root}}, err
}

// sign returns a URL with the signature of now, if the bucket wants one.
func (b *Bucket) sign(ctx context.Context, u url.URL) (string, error) {
	if b.ask == nil {
		plain := u.Scheme + "://" + u.Host + sigv4.EscapePath(u.Path)
		if u.RawQuery != "" {
			plain += "?" + u.RawQuery
		}
		return plain, nil
	}
	c, err := b.credentials(ctx)
	if err != nil {
		return "", err
	}
	signer := sigv4.Credentials{AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, SessionToken: c.SessionToken}
	return sigv4.Sign(u, signer, b.region, time.Now(), signatureLife), nil
}

// credentials returns those that are known, or asks. One asks, and who comes meanwhile waits for the answer: a page may show a window to
// log in.
func (b *Bucket) credentials(ctx context.Context) (Credentials, error) {
	if c, ok := b.fresh(time.Now()); ok {
		return c, nil
	}
	select {
	case b.asking <- struct{}{}:
		defer func() { <-b.asking }()
	case <-ctx.Done():
		return Credentials{}, context.Cause(ctx)
	}
	if c, ok := b.fresh(time.Now()); ok {
		return c, nil
	}
	c, err := b.ask(ctx)
	if err != nil {
		return c, &CredentialsError{err}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.known, b.stale = c, false
	return c, nil
}

func (b *Bucket) fresh(now time.Time) (Credentials, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	ended := !b.known.Expires.IsZero() && now.After(b.known.Expires.Add(-renewAhead))
	return b.known, b.known.AccessKeyID != "" && !b.stale && !ended
}

// Refused implements Place: whoever gave the credentials may have better ones.
func (b *Bucket) Refused() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stale = true
	return b.ask != nil
}
