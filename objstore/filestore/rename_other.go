//go:build !windows

package filestore

import (
	"context"
	"os"
)

// rename gives a file another name, in place of the one that has it.
func rename(_ context.Context, from, to string) error { return os.Rename(from, to) }
