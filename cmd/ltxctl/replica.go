package main

import (
	"context"
	"net/url"
	"os"
	"slices"
	"strings"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/s3store"
)

const replicaURLHelp = `
A replica is the place that Litestream v0.5 replicates one database to:

  s3://bucket/path                                 Amazon S3
  s3://bucket/path?endpoint=http://localhost:9000  MinIO, R2, Tigris, …
  file:///srv/replica                              a directory
  https://host/path                                read-only, over plain HTTP

The query holds what Litestream's URLs may hold: endpoint, region,
force-path-style, skip-verify and so on; and also anonymous=true for public
buckets, profile=NAME for the shared AWS files, and ca-file=FILE. Quote the URL
for the shell, which has its own use for & and ?.

Environment:

  LITESTREAM_REPLICA_URL       the replica, when none is given
  LITESTREAM_S3_ENDPOINT       the endpoint, when the URL has none; then
                               AWS_ENDPOINT_URL_S3 and AWS_ENDPOINT_URL
  AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY
                               credentials, with AWS_SESSION_TOKEN if they are
                               temporary
  LITESTREAM_ACCESS_KEY_ID, LITESTREAM_SECRET_ACCESS_KEY
                               the same when the pair above is absent
  AWS_PROFILE, AWS_REGION, AWS_CA_BUNDLE
                               as everywhere with AWS
  LITESTREAM_CACHE_SIZE        memory for pages (64MiB)
  LITESTREAM_POLL_INTERVAL     how often the shell looks for news (1s)
  LITESTREAM_LOG_LEVEL, LITESTREAM_LOG_FILE
                               what is logged, and where
  NO_COLOR                     no colours on a terminal
`

// replicaEnv names the replica when the command line does not.
const replicaEnv = "LITESTREAM_REPLICA_URL"

// replicaArg takes the replica from the arguments, and returns those that are left. There may be at most rest of them; only
// with all of them there does the first have to be the replica.
func (c *cli) replicaArg(args []string, rest int) (replica string, others []string, err error) {
	fromEnv := c.getenv(replicaEnv)
	switch {
	case len(args) > rest+1:
		return "", nil, usagef("too many arguments: %q is not expected; quote what has spaces", args[rest+1])
	case len(args) > rest:
		replica, others = args[0], args[1:]
	case len(args) > 0 && looksLikeURL(args[0]):
		replica, others = args[0], args[1:]
	case fromEnv == "":
		return "", nil, usagef("no replica: give its URL, like s3://bucket/path, or set %s", replicaEnv)
	default:
		replica, others = fromEnv, args
	}
	c.replica = replica
	return replica, others, checkURL(replica)
}

func looksLikeURL(arg string) bool {
	scheme, _, ok := strings.Cut(arg, ":")
	return ok && (strings.Contains(arg, "://") || scheme == "file") && !strings.ContainsAny(scheme, " \t\n(")
}

var schemes = []string{"s3", "file", "https", "http"}

// checkURL refuses what is no replica URL, as far as the URL alone tells.
func checkURL(replica string) error {
	scheme, _, ok := strings.Cut(replica, ":")
	switch {
	case !ok:
		return usagef("%q is no replica URL; %s", replica, urlOf(replica))
	case !slices.Contains(schemes, scheme):
		return usagef("the replica's URL has the unknown scheme %q; it is s3 (with an endpoint also for Google, R2, Tigris and others), "+
			"file, https or http", scheme)
	case scheme == "s3":
		if _, _, err := s3store.ParseURL(replica); err != nil {
			return &usageError{err}
		}
	}
	return nil
}

// urlOf says what to write instead of a path, which is what people try first.
func urlOf(path string) string {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return "it looks like s3://bucket/path, file:///directory or https://host/path"
	case info.IsDir():
		return "for the directory write file:" + path
	}
	return "it is a local file, and a replica is a directory or a prefix; ltxctl push makes one of a database"
}

// displayURL is a replica URL as it may be shown: without user, password and query, which may hold secrets.
func displayURL(replica string) string {
	if u, err := url.Parse(replica); err == nil {
		u.User, u.RawQuery, u.Fragment = nil, "", ""
		return u.String()
	}
	bare, _, _ := strings.Cut(replica, "?")
	if _, host, ok := strings.Cut(bare, "@"); ok {
		scheme, _, _ := strings.Cut(bare, ":")
		return scheme + "://" + host
	}
	return bare
}

// config is how a replica is opened: with nothing of what the environment may say for the application that the replica belongs to.
func (c *cli) config(replica string) litefss3.Config {
	return litefss3.Config{ReplicaURL: replica, Store: c.store, Logger: c.logger(), ReadOnly: true, NoLocalCopy: true}
}

// open returns the store of a replica.
func (c *cli) open(ctx context.Context, replica string) (objstore.Store, *objstore.Metrics, error) {
	return litefss3.OpenStore(ctx, c.config(replica))
}
