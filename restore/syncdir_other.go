//go:build windows || js || wasip1

package restore

// syncDir does nothing: directories cannot be flushed here, and need not be on Windows.
func syncDir(string) error { return nil }
