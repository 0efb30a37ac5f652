package integration

import (
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// smallDisk is a directory that becomes full. Where the system allows it, it is a file system of its own in memory, on which a write fails with
// ENOSPC. Elsewhere no file of the process that fills it may grow beyond a limit, which needs no rights and works in every container: a
// write stops in its middle, too, with EFBIG.
type smallDisk struct {
	dir  string
	real bool
}

// newSmallDisk returns one with room for so many bytes, until the end of the test.
func newSmallDisk(t *testing.T, size int64) smallDisk {
	t.Helper()
	if dir, ok := mountSmall(t, size); ok {
		return smallDisk{dir, true}
	}
	t.Log("no file system can be mounted here: sizes of files are limited instead")
	return smallDisk{dir: t.TempDir()}
}

const realDisk, limitedDisk = "real", "limited"

// String is how a process is told of it, and parseDisk what it makes of that.
func (d smallDisk) String() string {
	if d.real {
		return realDisk + " " + d.dir
	}
	return limitedDisk + " " + d.dir
}

func parseDisk(job string) (d smallDisk, rest string) {
	kind, rest, _ := strings.Cut(job, " ")
	d.dir, rest, _ = strings.Cut(rest, " ")
	d.real = kind == realDisk
	return d, rest
}

// errFull is what a write fails with.
func (d smallDisk) errFull() syscall.Errno {
	if d.real {
		return syscall.ENOSPC
	}
	return syscall.EFBIG
}

func (d smallDisk) path(name string) string    { return filepath.Join(d.dir, name) }
func (d smallDisk) ballast() string            { return d.path("ballast") }
func (d smallDisk) isBallast(name string) bool { return name == filepath.Base(d.ballast()) }

// fill leaves room for so many bytes.
func (d smallDisk) fill(room int64) error {
	if !d.real {
		return limitFiles(uint64(d.largest() + room))
	}
	f, err := os.OpenFile(d.ballast(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	free, err := freeBytes(d.dir)
	if err != nil {
		return err
	}
	if _, err = io.CopyN(f, zeros{}, max(0, free-room)); errors.Is(err, syscall.ENOSPC) {
		err = nil
	}
	return err
}

// makeRoom takes that back.
func (d smallDisk) makeRoom() error {
	if !d.real {
		return limitFiles(math.MaxUint64)
	}
	return os.Remove(d.ballast())
}

// largest is the size of its largest file.
func (d smallDisk) largest() (size int64) {
	_ = filepath.Walk(d.dir, func(_ string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			size = max(size, info.Size())
		}
		return nil // what goes meanwhile is not the largest
	})
	return size
}

// limitFiles is the size in bytes beyond which no file of this process may grow.
func limitFiles(size uint64) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	limit.Cur = min(size, limit.Max)
	return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// copyOut copies the files of a database out of the disk, where SQLite finds them by the names that it makes of theirs.
func (d smallDisk) copyOut(t *testing.T, name string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), name)
	for _, suffix := range []string{"", "-journal"} {
		data, err := os.ReadFile(d.path(name) + suffix)
		if errors.Is(err, os.ErrNotExist) && suffix != "" {
			continue
		}
		if err == nil {
			err = os.WriteFile(path+suffix, data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// TestSmallDisk: the disk is full when it says so, and has room again.
func TestSmallDisk(t *testing.T) {
	t.Parallel()
	d := newSmallDisk(t, 1<<20)
	if !d.real {
		return // it would limit the files of all tests; TestDiskFull does it in processes of their own
	}
	write := func(n int) error { return os.WriteFile(d.path("file"), make([]byte, n), 0o600) }
	if err := write(300 << 10); err != nil {
		t.Fatal(err)
	}
	if err := d.fill(100 << 10); err != nil {
		t.Fatal(err)
	}
	if err := write(600 << 10); !errors.Is(err, d.errFull()) {
		t.Errorf("on a full disk: %v", err)
	}
	if err := errors.Join(d.makeRoom(), write(600<<10)); err != nil {
		t.Errorf("with room: %v", err)
	}
	if told, rest := parseDisk(d.String() + " rest of it"); told != d || rest != "rest of it" {
		t.Errorf("told as %v, and %q", told, rest)
	}
}
