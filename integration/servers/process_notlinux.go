//go:build !linux

package servers

import "syscall"

// childAttr: other systems cannot tie a process's life to its parent's; a test binary that is killed leaves its own
// servers running, but for the shared MinIO.
func childAttr() *syscall.SysProcAttr { return nil }
