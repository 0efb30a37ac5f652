package servers

import "syscall"

// childAttr makes the kernel kill the server when this process dies, and keeps the terminal's Ctrl-C from it: the test
// stops it.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
