package replicagen_test

import (
	"context"
	"io"
	"path/filepath"
	"testing"

	"github.com/litefs-s3/litefs-s3/integration/replicagen"
	"github.com/litefs-s3/litefs-s3/integration/sample"
	"github.com/litefs-s3/litefs-s3/integration/servers"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/superfly/ltx"
)

// bucket puts objects into a bucket with nothing between.
type bucket struct {
	servers.S3
	name string
}

// Put implements objstore.Putter as far as Chain needs it.
func (b bucket) Put(ctx context.Context, key string, body io.ReadSeeker, opts objstore.PutOptions) (string, error) {
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	data, err := io.ReadAll(body)
	if err != nil {
		return "", err
	}
	stamp := opts.Timestamp.UTC().Format("2006-01-02T15:04:05.999999999Z")
	return "", b.S3.Put(ctx, b.name, key, data, map[string]string{"litestream-timestamp": stamp})
}

// TestChain_LitestreamRestoresIt lets unmodified Litestream judge the chain, by the end of every file of the plan.
func TestChain_LitestreamRestoresIt(t *testing.T) {
	t.Parallel()
	ctx, store := t.Context(), servers.StartMinIO(t)
	b := bucket{store.S3, store.Bucket(t)}
	opts := replicagen.Options{Prefix: "app", Files: 12, Spans: [4]int{1, 2, 4, 8}, Inputs: true, Image: images(t)}
	replica, err := replicagen.Chain(ctx, b, build(t, sample.Options{}), opts)
	if err != nil {
		t.Fatal(err)
	}
	url := store.URL(b.name, "app")
	restore := func(want ltx.TXID, how servers.RestoreOptions) {
		t.Helper()
		out := filepath.Join(t.TempDir(), "restored.db")
		if err := servers.LitestreamRestore(ctx, store.S3, url, out, how); err != nil {
			t.Fatal(err)
		}
		sample.EqualDatabases(t, opts.Image(want), out)
	}
	restore(replica.TXID, servers.RestoreOptions{})
	for _, file := range replica.Plan {
		restore(file.Max, servers.RestoreOptions{TXID: file.Max})
	}
}
