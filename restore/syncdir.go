//go:build !windows && !js && !wasip1

package restore

import (
	"errors"
	"os"
)

// syncDir flushes the names in a directory to disk.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
