package litefss3

import (
	"cmp"
	"context"
	"log/slog"

	"github.com/litefs-s3/litefs-s3/objstore"
)

// OpenStore returns the store that holds the replica c describes, as opening the replica uses it: keys begin below the
// replica's prefix, requests have retries and share the limit of the process, what is late is asked for again, and c.Logger
// hears of the retries. The
// Metrics count requests on the wire. It is for tools that look at a replica's files; it asks nothing of the replica.
func OpenStore(ctx context.Context, c Config) (objstore.Store, *objstore.Metrics, error) {
	backend, err := openStore(ctx, c)
	if err != nil {
		return nil, nil, err
	}
	store := decorate(backend, cmp.Or(c.Logger, slog.New(slog.DiscardHandler)))
	return store, store.metrics, nil
}
