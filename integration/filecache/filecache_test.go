package filecache_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/litefs-s3/litefs-s3/integration/filecache"
)

// useEmptyCache points the user's cache directory at an empty one.
func useEmptyCache(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", dir)
	t.Setenv("HOME", dir)
	t.Setenv("LocalAppData", dir)
}

func TestFile_MadeOnceByManyCallers(t *testing.T) {
	useEmptyCache(t)
	var made atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			path, err := filecache.File(t.Context(), "kind/one", func(_ context.Context, tmp string) error {
				made.Add(1)
				return os.WriteFile(tmp, []byte("content"), 0o644)
			})
			if err != nil {
				t.Error(err)
				return
			}
			if got, err := os.ReadFile(path); err != nil || string(got) != "content" {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
	wg.Wait()
	if made.Load() != 1 {
		t.Errorf("made %d times, want 1", made.Load())
	}
}

func TestFile_FailureLeavesNothing(t *testing.T) {
	useEmptyCache(t)
	broken := errors.New("disk full")
	_, err := filecache.File(t.Context(), "kind/two", func(_ context.Context, tmp string) error {
		return errors.Join(os.WriteFile(tmp, []byte("half"), 0o644), broken)
	})
	if !errors.Is(err, broken) {
		t.Fatalf("got %v, want %v", err, broken)
	}
	dir, err := filecache.Dir()
	if err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "kind", "two*"))
	if err != nil || len(left) != 1 || filepath.Ext(left[0]) != ".lock" {
		t.Errorf("left behind %v, %v; want the lock file alone", left, err)
	}
}

func TestFile_WaitEndsWithContext(t *testing.T) {
	useEmptyCache(t)
	entered, leave, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		_, err := filecache.File(t.Context(), "kind/three", func(_ context.Context, tmp string) error {
			close(entered)
			<-leave
			return os.WriteFile(tmp, nil, 0o644)
		})
		done <- err
	}()
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := filecache.File(ctx, "kind/three", nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the deadline", err)
	}
	close(leave)
	if err := <-done; err != nil {
		t.Error(err)
	}
}
