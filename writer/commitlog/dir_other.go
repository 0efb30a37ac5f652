//go:build !unix

package commitlog

func syncDir(string) error { return nil }

// removeLater reports whether a file that is open cannot be removed for that reason: it is tried again at the next open.
func removeLater(err error) bool { return err != nil }
