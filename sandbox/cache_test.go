package sandbox

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// TestCache_KeepsTheLastModules: machine code of versions that are no more goes, and nothing else does.
func TestCache_KeepsTheLastModules(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	foreign := filepath.Join(dir, "something else")
	if err := os.Mkdir(foreign, 0o700); err != nil {
		t.Fatal(err)
	}
	name := func(n byte) string { return filepath.Join(dir, fmt.Sprintf("%02x00000000000000", n)) }
	for n := byte(1); n <= 5; n++ {
		c, err := openCache(dir, [32]byte{n})
		if err != nil {
			t.Fatal(err)
		}
		c.Close(t.Context())
		then := time.Now().Add(time.Duration(n)*time.Second - time.Hour)
		if err := os.Chtimes(name(n), then, then); err != nil {
			t.Fatal(err)
		}
	}
	for n := byte(1); n <= 5; n++ {
		if _, err := os.Stat(name(n)); (err == nil) != (n > 2) {
			t.Errorf("module %d: %v", n, err)
		}
	}
	if _, err := os.Stat(foreign); err != nil {
		t.Errorf("what is not ours: %v", err)
	}
}

// TestCache_OursAlone: where others can write, nothing is run.
func TestCache_OursAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	c, err := openCache(dir, [32]byte{1})
	if err == nil {
		c.Close(t.Context())
	}
	if (err == nil) != (runtime.GOOS == "windows") {
		t.Errorf("got %v", err)
	}
}
