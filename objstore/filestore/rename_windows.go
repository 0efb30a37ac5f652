package filestore

import (
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/windows"
)

// rename gives a file another name, in place of the one that has it. Windows refuses that while somebody reads that one: readers here are done in
// moments, so it is tried for a while.
func rename(ctx context.Context, from, to string) error {
	const patience, pause = 2 * time.Second, 5 * time.Millisecond
	for start := time.Now(); ; {
		err := os.Rename(from, to)
		if !errors.Is(err, windows.ERROR_ACCESS_DENIED) && !errors.Is(err, windows.ERROR_SHARING_VIOLATION) || time.Since(start) > patience {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, context.Cause(ctx))
		case <-time.After(pause):
		}
	}
}
