package compact

import (
	"fmt"

	"github.com/litefs-s3/litefs-s3/objstore"
)

// Compactor keeps one replica small, sound and restorable. It is used by one goroutine at a time; several of them, in
// whatever processes, may work on one replica.
type Compactor struct {
	store *objstore.Metrics
	opts  Options
	times *times
}

// New returns a Compactor of the replica whose keys store has. The store should try again by itself what fails for the moment
// (objstore.Retry), with a deadline that fits the largest file.
func New(store objstore.Store, opts Options) (*Compactor, error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, fmt.Errorf("compact: %w", err)
	}
	metered := objstore.NewMetrics(store)
	return &Compactor{store: metered, opts: opts, times: &times{store: metered}}, nil
}
