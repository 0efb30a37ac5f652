package sandbox

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/litefs-s3/litefs-s3/internal/stoppable"
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

// TestCache_TellsOfCompiling: who waits for the compiler is told so, once for each module, and not when its code is there.
func TestCache_TellsOfCompiling(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	const loop = "\x00asm\x01\x00\x00\x00" + "\x01\x04\x01\x60\x00\x00" + "\x02\x0d\x01\x04host\x04tick\x00\x00" + "\x03\x02\x01\x00" + "\x06\x06\x01\x7f\x01\x41\x00\x0b" + "\x0a\x07\x01\x05\x00\x03\x40\x0b\x0b" // one function, with a loop
	wasm, err := stoppable.Rewrite([]byte(loop), "host", "tick")
	if err != nil {
		t.Fatal(err)
	}
	told := 0
	for range 2 {
		e, err := acquire(t.Context(), wasm, dir, func() { told++ }, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		e.release()
		if told != 1 {
			t.Errorf("told %d times, want once", told)
		}
	}
}
