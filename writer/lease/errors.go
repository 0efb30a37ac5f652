package lease

import (
	"errors"
	"fmt"
	"time"
)

var (
	// ErrLost: somebody else has taken the lease.
	ErrLost = errors.New("lease was taken over, broken or released")
	// ErrDamaged: the lease object is not one.
	ErrDamaged = errors.New("lease object is damaged; look at it, then break it")
	// ErrHeld is what every HeldError is.
	ErrHeld = errors.New("lease is held")
)

// HeldError says who has the lease, and until when.
type HeldError struct {
	Owner   string
	Expires time.Time
}

func (e *HeldError) Error() string {
	return fmt.Sprintf("%s has the lease until %s; wait for that, have it released there, or break it",
		e.Owner, e.Expires.UTC().Format(time.RFC3339))
}

// Is makes errors.Is(err, ErrHeld) true.
func (e *HeldError) Is(target error) bool { return target == ErrHeld }
