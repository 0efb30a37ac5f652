//go:build !linux

package hydrate

import (
	"errors"
	"os"
)

// canPunch says that room can be given back in the middle of a file.
const canPunch = false

func punch(*os.File, int64, int64) error { return errors.ErrUnsupported }
