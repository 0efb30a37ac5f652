package sandbox

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/tetratelabs/wazero"
)

// keptModules is how many modules' machine code is kept on disk: 70 MB each, and the next version of a program brings another one.
const keptModules = 3

// defaultCacheDir is where compiled modules are kept.
func defaultCacheDir() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("sandbox: no place for the compiled module; set Options.CacheDir: %w", err)
	}
	return filepath.Join(dir, "litefs-s3", "sandbox"), nil
}

// codeDir is where the machine code of one module is kept.
func codeDir(dir string, module [sha256.Size]byte) string {
	return filepath.Join(dir, hex.EncodeToString(module[:8]))
}

// holdsCode reports whether machine code is kept for a module. It may be that of another version of wazero, and so of no use.
func holdsCode(id engineID) bool {
	found := false
	filepath.WalkDir(codeDir(id.cacheDir, id.module), func(_ string, entry fs.DirEntry, err error) error { //nolint:errcheck // none is none
		found = found || err == nil && entry.Type().IsRegular()
		return err
	})
	return found
}

// openCache opens the place on disk for the machine code of one module. Whoever can write there can have this process run what
// they like, so it is the user's own.
func openCache(dir string, module [sha256.Size]byte) (wazero.CompilationCache, error) {
	own := codeDir(dir, module)
	if err := os.MkdirAll(own, 0o700); err != nil {
		return nil, fmt.Errorf("sandbox: place for the compiled module; set Options.CacheDir to a directory that can be written: %w", err)
	}
	for _, path := range []string{dir, own} {
		if err := ours(path); err != nil {
			return nil, err
		}
	}
	now := time.Now()
	os.Chtimes(own, now, now) //nolint:errcheck // it only says which are used least
	prune(dir, own)
	cache, err := wazero.NewCompilationCacheWithDir(own)
	if err != nil {
		return nil, fmt.Errorf("sandbox: place for the compiled module; set Options.CacheDir to a directory that can be written: %w", err)
	}
	return cache, nil
}

// ours returns an error when others can write to a directory. Windows keeps that elsewhere: its cache directories are the user's.
func ours(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("sandbox: place for the compiled module: %w", err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("sandbox: others can write to %s, where machine code is kept; take that from them (chmod go-w) or set Options.CacheDir", path)
	}
	return nil
}

// prune removes the machine code that was not used for the longest time. Processes that run it have it in memory.
func prune(dir, keep string) {
	type module struct {
		path string
		used time.Time
	}
	entries, _ := os.ReadDir(dir)
	var all []module
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		info, err := e.Info()
		if err == nil && info.IsDir() && isModule(e.Name()) && path != keep {
			all = append(all, module{path, info.ModTime()})
		}
	}
	slices.SortFunc(all, func(a, b module) int { return cmp.Or(b.used.Compare(a.used), cmp.Compare(a.path, b.path)) })
	for _, m := range all[min(len(all), keptModules-1):] {
		os.RemoveAll(m.path) //nolint:errcheck // the next one tries again
	}
}

// isModule reports whether a name is one that openCache gives.
func isModule(name string) bool {
	b, err := hex.DecodeString(name)
	return err == nil && len(b) == 8
}
