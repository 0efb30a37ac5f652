package wasimodule

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/litefs-s3/litefs-s3/integration/filecache"
	"github.com/litefs-s3/litefs-s3/internal/stoppable"
	"github.com/litefs-s3/litefs-s3/internal/wasiabi"
	"github.com/litefs-s3/litefs-s3/sandbox/guest"
)

const (
	module  = "github.com/litefs-s3/litefs-s3"
	program = module + "/cmd/litefs-s3-wasi"
	// kept is how many builds stay in the cache: 5 MB each, and each change of the source makes another one.
	kept = 4
)

// flags are what the module is built with. Nobody debugs machine code made of it, and without names it is half the size.
var flags = []string{"-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-buildmode=c-shared"}

// File returns the path of the module, compressed. It builds it when the source has changed, which takes a minute the first time.
func File(ctx context.Context) (string, error) {
	hash, err := sources(ctx)
	if err != nil {
		return "", err
	}
	path, err := filecache.File(ctx, "wasimodule/"+hash+"/"+guest.Name, build)
	if err != nil {
		return "", err
	}
	prune(filepath.Dir(filepath.Dir(path)), hash)
	return path, nil
}

// Load returns the module itself.
func Load(ctx context.Context) ([]byte, error) {
	path, err := File(ctx)
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return guest.Unpack(b)
}

// build writes the module to tmp.
func build(ctx context.Context, tmp string) error {
	dir, err := os.MkdirTemp("", "wasimodule")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	raw := filepath.Join(dir, "module.wasm")
	if _, err := run(ctx, append(append([]string{"build", "-o", raw}, flags...), program)...); err != nil {
		return err
	}
	wasm, err := os.ReadFile(raw)
	if err != nil {
		return err
	}
	if wasm, err = stoppable.Rewrite(wasm, wasiabi.Module, wasiabi.Tick); err != nil {
		return err
	}
	out, err := os.Create(tmp)
	if err != nil {
		return err
	}
	z := gzip.NewWriter(out)
	_, err = z.Write(wasm)
	return errors.Join(err, z.Close(), out.Close())
}

// run runs the go command for WASI.
func run(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=", "CGO_ENABLED=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s: %w\n%s", args[0], err, stderr.Bytes())
	}
	return out, nil
}

// sources is a hash of all that the module depends on: the files of this project, the versions of others, and of Go.
func sources(ctx context.Context) (string, error) {
	out, err := run(ctx, "list", "-deps", "-json=Dir,GoFiles,Module", program)
	if err != nil {
		return "", err
	}
	hash := sha256.New()
	if err := rewriting(ctx, hash); err != nil {
		return "", err
	}
	fmt.Fprintln(hash, runtime.Version(), flags, wasiabi.Version, stoppable.Turns)
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			Dir     string
			GoFiles []string
			Module  *struct{ Path, Version string }
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return "", fmt.Errorf("go list: %w", err)
		}
		if p.Module == nil {
			continue // the standard library
		}
		fmt.Fprintln(hash, p.Module.Path, p.Module.Version)
		if p.Module.Path != module {
			continue
		}
		for _, name := range p.GoFiles {
			if err := add(hash, filepath.Join(p.Dir, name)); err != nil {
				return "", err
			}
		}
	}
	return hex.EncodeToString(hash.Sum(nil)[:8]), nil
}

// rewriting adds the source of package stoppable, which changes what was built.
func rewriting(ctx context.Context, w io.Writer) error {
	out, err := run(ctx, "list", "-f", "{{.Dir}}", module+"/internal/stoppable")
	if err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(string(bytes.TrimSpace(out)), "*.go"))
	for _, path := range files {
		err = errors.Join(err, add(w, path))
	}
	return err
}

func add(w io.Writer, path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	fmt.Fprintln(w, filepath.Base(path), len(b))
	_, err = w.Write(b)
	return err
}

// prune removes builds of sources that are no more.
func prune(dir, keep string) {
	entries, _ := os.ReadDir(dir)
	var old []os.FileInfo
	for _, e := range entries {
		if info, err := e.Info(); err == nil && e.Name() != keep {
			old = append(old, info)
		}
	}
	slices.SortFunc(old, func(a, b os.FileInfo) int {
		return cmp.Or(b.ModTime().Compare(a.ModTime()), cmp.Compare(a.Name(), b.Name()))
	})
	for _, info := range old[min(len(old), kept-1):] {
		os.RemoveAll(filepath.Join(dir, info.Name())) //nolint:errcheck // the next one tries again
	}
}
