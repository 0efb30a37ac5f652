package integration

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// mountChild makes the test binary mount a file system and keep it until its standard input ends: a size in bytes and a directory.
const mountChild = "INTEGRATION_MOUNT_CHILD"

func init() { children[mountChild] = keepMounted }

func keepMounted(job string) error {
	var size int64
	var dir string
	if _, err := fmt.Sscan(job, &size, &dir); err != nil {
		return err
	}
	// What is mounted here is nobody else's business.
	if err := syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := syscall.Mount("small", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=700", size)); err != nil {
		return err
	}
	fmt.Println("mounted")
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// mountSmall mounts a small file system for this test alone: in a process with mounts of its own, as root, and where that may not, as one who
// is root among processes of its own. It is reached by way of that process. ok is false where neither is allowed.
func mountSmall(t *testing.T, size int64) (path string, ok bool) {
	t.Helper()
	dir := t.TempDir()
	for _, attr := range []*syscall.SysProcAttr{
		{Cloneflags: syscall.CLONE_NEWNS},
		{
			Cloneflags:  syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		},
	} {
		c := newChild(t, mountChild, fmt.Sprint(size, " ", dir))
		c.SysProcAttr = attr
		if c.Start() != nil {
			continue
		}
		t.Cleanup(c.kill)
		path = fmt.Sprintf("/proc/%d/root%s", c.Process.Pid, dir)
		if c.lines.Scan() && c.lines.Text() == "mounted" && exec.Command("test", "-w", path).Run() == nil {
			return path, true
		}
		c.kill()
	}
	return "", false
}

func freeBytes(dir string) (int64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return int64(s.Bavail) * s.Bsize, nil
}
