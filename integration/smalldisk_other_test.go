//go:build !linux

package integration

import (
	"errors"
	"testing"
)

func mountSmall(*testing.T, int64) (path string, ok bool) { return "", false }

func freeBytes(string) (int64, error) { return 0, errors.ErrUnsupported }
