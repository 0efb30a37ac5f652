package litefss3_test

import "testing"

// scaled is how much of something a test does: all of it, or what is enough for the race detector, under which everything runs once more
// (make race).
func scaled[T any](full, short T) T {
	if testing.Short() {
		return short
	}
	return full
}
