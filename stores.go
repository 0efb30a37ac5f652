package litefss3

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/filestore"
	"github.com/litefs-s3/litefs-s3/objstore/httpstore"
	"github.com/litefs-s3/litefs-s3/objstore/s3store"
)

// maxRequests is how many requests the process has under way at once, all replicas together.
const maxRequests = 64

var requests = objstore.NewLimiter(maxRequests)

// backend is where a replica lies, and how to let go of its connections.
type backend struct {
	objstore.Store        // keys begin below the replica's prefix
	closeIdle      func() // nil when there are no connections: when it is no server that may answer late
}

// openStore returns the backend that holds the replica.
func openStore(ctx context.Context, c Config) (*backend, error) {
	if c.Store != nil {
		return &backend{Store: c.Store}, nil
	}
	scheme, _, ok := strings.Cut(c.ReplicaURL, ":")
	if !ok {
		return nil, fmt.Errorf("replica_url has no scheme; it looks like s3://bucket/path, file:///directory or https://host/path")
	}
	switch scheme {
	case "s3":
		return openS3(ctx, c)
	case "file":
		dir, err := directory(c.ReplicaURL)
		if err != nil {
			return nil, err
		}
		store, err := filestore.Open(dir)
		return &backend{Store: store}, err
	case "http", "https":
		store, err := httpstore.Open(c.ReplicaURL, httpstore.Options{})
		if err != nil {
			return nil, err
		}
		return &backend{store, store.CloseIdle}, nil
	}
	return nil, fmt.Errorf("replica_url has the unknown scheme %q; it is s3 (with an endpoint also for Google, R2, Tigris and others), "+
		"file, https or http", scheme)
}

func openS3(ctx context.Context, c Config) (*backend, error) {
	conf, prefix, err := s3store.ParseURL(c.ReplicaURL)
	if err != nil {
		return nil, err
	}
	if c.S3 != nil {
		c.S3(&conf)
	}
	store, err := s3store.Open(ctx, conf)
	if err != nil {
		return nil, err
	}
	return &backend{objstore.WithPrefix(store, prefix), store.CloseIdle}, nil
}

// directory is the folder that a file URL names: file:///absolute/path, or file:relative/path.
func directory(raw string) (string, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return "", fmt.Errorf("replica_url is no URL; it looks like file:///directory")
	case u.RawQuery != "":
		return "", fmt.Errorf("a file URL takes no parameters, and this one has ?%s", u.RawQuery)
	case u.Host != "" && u.Host != "localhost":
		return "", fmt.Errorf("a file URL has no host, and this one has %q; write file:///directory with three slashes, "+
			"or file:directory for a relative one", u.Host)
	}
	dir := u.Path
	if u.Opaque != "" {
		dir, err = url.PathUnescape(u.Opaque)
	}
	if err != nil || dir == "" {
		return "", fmt.Errorf("replica_url names no directory; it looks like file:///directory")
	}
	if filepath.VolumeName(dir) == "" && len(dir) > 1 && filepath.VolumeName(dir[1:]) != "" {
		dir = dir[1:] // file:///C:/directory
	}
	return filepath.FromSlash(dir), nil
}

// decorated is a backend with everything around it that reading it wants.
type decorated struct {
	objstore.Store
	metrics *objstore.Metrics // of the requests on the wire
	hedged  *objstore.Hedged  // nil when nothing is asked for twice
}

// decorate puts retries, the limit of the process, second requests for what is late, and counters around a backend.
func decorate(backend *backend, log *slog.Logger) decorated {
	d := decorated{metrics: objstore.NewMetrics(backend.Store)}
	if backend.closeIdle == nil {
		d.Store = retried(d.metrics, log, 0)
		return d
	}
	d.hedged = objstore.Hedge(d.metrics, objstore.HedgeOptions{})
	d.Store = retried(d.hedged, log, 0)
	return d
}

// writerAttempts is how often the writer's requests are made before it hears that they fail. It tries again by itself, for ever, and
// until then its status should say why.
const writerAttempts = 3

// retried puts retries and the limit of the process around a store. attempts as in [objstore.RetryOptions].
func retried(store objstore.Store, log *slog.Logger, attempts int) objstore.Store {
	return objstore.Retry(requests.Limit(store), objstore.RetryOptions{
		Attempts: attempts,
		OnRetry: func(f objstore.Failure) {
			log.LogAttrs(context.Background(), slog.LevelDebug, "request failed; trying again", slog.String("op", f.Op),
				slog.String("key", f.Key), slog.Int("attempt", f.Attempt), slog.Duration("delay", f.Delay), slog.Any("err", f.Err))
		},
	})
}
