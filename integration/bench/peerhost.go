package main

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/litefs-s3/litefs-s3/integration/servers"
)

// host is the C SQLite in a process of its own: over Litestream's VFS, or on a file.
type host struct {
	label      string
	db         string // URI
	litestream bool   // the URI names its VFS
	process    *servers.SQLHost
}

// litestream is Litestream's extension with its defaults, but for polls, which would be counted among the requests of a
// measurement.
func (b *bench) litestream() *host {
	query := url.Values{"vfs": {"litestream"}, "replica_url": {b.Data.url(b.Endpoint)}, "poll_interval": {"1h"}}
	uri := "file:app.db?" + strings.ReplaceAll(query.Encode(), "+", "%20")
	return &host{label: "how=litestream", db: uri, litestream: true}
}

// localURI is the plain file for the C SQLite.
func localURI(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	uri := url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(path), RawQuery: "mode=ro"}
	return uri.String()
}

func (h *host) name() string { return h.label }

// start starts a new process each time: nothing of the last one is left in memory.
func (h *host) start(ctx context.Context) (err error) {
	h.process, err = servers.OpenSQLHost(ctx, servers.S3{
		AccessKey: os.Getenv("AWS_ACCESS_KEY_ID"), SecretKey: os.Getenv("AWS_SECRET_ACCESS_KEY"),
	})
	if err != nil || !h.litestream {
		return err
	}
	if err := h.process.LoadLitestream(ctx); err != nil {
		return errors.Join(err, h.stop())
	}
	return nil
}

func (h *host) open(context.Context) error {
	_, err := h.process.Open(h.db)
	return err
}

func (h *host) ask(_ context.Context, query string, args []int64) ([]string, []time.Duration, error) {
	a, err := h.process.Query(query, args...)
	return a.Rows, a.Times, err
}

func (h *host) stop() error { return h.process.Close() }
