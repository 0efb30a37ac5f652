package lease

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Show returns what the lease object says. ok is false when there is none.
func Show(ctx context.Context, store Store) (_ Info, ok bool, err error) {
	now, err := get(ctx, store)
	return now.Info, err == nil && now.etag != "", err
}

// Break releases the lease whoever has it, and returns what the object said before. Whoever had it finds out with its next renewal,
// and may until then upload what it has committed: break the leases of the dead. An object that is damaged is replaced.
func Break(ctx context.Context, store Store) (Info, error) {
	now, err := get(ctx, store)
	switch {
	case errors.Is(err, ErrDamaged):
		now.Info = Info{Owner: "unknown"}
	case err != nil:
		return Info{}, err
	case now.etag == "":
		return Info{}, nil
	}
	before := now.Info
	after := Info{Generation: before.Generation + 1, ExpiresAt: time.Unix(0, 0).UTC(), Owner: before.Owner, Released: true}
	if _, err := put(ctx, store, now, after); err != nil {
		return before, fmt.Errorf("break the lease of %s: %w", before.Owner, err)
	}
	return before, nil
}
