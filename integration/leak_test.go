package integration

import (
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	litefss3 "github.com/litefs-s3/litefs-s3"
)

// holdings are what the process holds. Only a test that runs alone can count them.
type holdings struct {
	goroutines, files int
	heap              int64 // bytes
	tmp               string
}

// watchLeaks counts what the process holds, and gives it a directory of its own for temporary files.
func watchLeaks(t *testing.T) holdings {
	t.Helper()
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	h := holdingsNow()
	h.tmp = tmp
	return h
}

func holdingsNow() holdings {
	runtime.GC()
	debug.FreeOSMemory() // the second collection: a sync.Pool keeps what it holds over one
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return holdings{goroutines: len(ownStacks()), files: len(filesOpen()), heap: int64(m.HeapAlloc)}
}

// filesOpen are the files that the process has open, connections apart: those to a store are kept for the next one who asks. So are those that the
// runtime waits for events with, which it opens when it first has to. There are none where the system does not tell.
func filesOpen() (open []string) {
	const dir = "/proc/self/fd"
	files, _ := os.ReadDir(dir)
	for _, f := range files {
		to, err := os.Readlink(filepath.Join(dir, f.Name()))
		if err == nil && !strings.HasPrefix(to, "socket:") && !strings.HasPrefix(to, "anon_inode:[event") {
			open = append(open, to)
		}
	}
	return open
}

// ownStacks are the stacks of all goroutines but those of idle connections.
func ownStacks() []string {
	b := make([]byte, 8<<20)
	b = b[:runtime.Stack(b, true)]
	return slices.DeleteFunc(strings.Split(string(b), "\n\n"), func(stack string) bool {
		return strings.Contains(stack, "net/http.(*persistConn)")
	})
}

// spareHeap is what a process may hold longer in bytes: the cache of pages, which outlives databases, and what pools keep for the next one.
const spareHeap = litefss3.DefaultCacheSize + 16<<20

// check waits until the process holds no more than before, and complains if that does not come about.
func (h holdings) check(t *testing.T) {
	t.Helper()
	var now holdings
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		now = holdingsNow()
		small := now.goroutines <= h.goroutines && now.files <= h.files && now.heap <= h.heap+spareHeap
		if small || time.Now().After(deadline) {
			break
		}
	}
	t.Logf("before: %d goroutines, %d files, %d MiB; after: %d, %d, %d MiB", h.goroutines, h.files, h.heap>>20, now.goroutines, now.files, now.heap>>20)
	if now.goroutines > h.goroutines {
		t.Errorf("%d goroutines, %d before:\n%s", now.goroutines, h.goroutines, strings.Join(ownStacks(), "\n\n"))
	}
	if now.files > h.files {
		t.Errorf("%d files are open, %d were before: %s", now.files, h.files, strings.Join(filesOpen(), " "))
	}
	if now.heap > h.heap+spareHeap {
		t.Errorf("%d MiB of memory, %d before", now.heap>>20, h.heap>>20)
	}
	left, err := filepath.Glob(filepath.Join(h.tmp, "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %s, %v", strings.Join(left, " "), err)
	}
}
