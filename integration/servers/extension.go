package servers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// ErrNoCompiler: this machine has no compiler for C.
var ErrNoCompiler = errors.New("no C compiler")

// compiler returns the C compiler of Go's tool chain, and what it is called with.
func compiler(ctx context.Context) ([]string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "CC").Output()
	if err != nil {
		return nil, fmt.Errorf("go env CC: %w", err)
	}
	cc := strings.Fields(string(out))
	if len(cc) == 0 {
		return nil, fmt.Errorf("go env CC is empty; install gcc, or set CC: %w", ErrNoCompiler)
	}
	if _, err := exec.LookPath(cc[0]); err != nil {
		return nil, fmt.Errorf("%s is not there (%w); install it, or set CC: %w", cc[0], err, ErrNoCompiler)
	}
	return cc, nil
}

// buildCgo builds a program with C in it.
func buildCgo(ctx context.Context, t tool, dir, out string) error {
	if _, err := compiler(ctx); err != nil {
		return err
	}
	return goBuild(ctx, t, dir, out, "CGO_ENABLED=1")
}

// buildExtension builds Litestream's loadable extension of SQLite as its Makefile does: an archive of what is Go, and with
// it the C that SQLite calls.
func buildExtension(ctx context.Context, t tool, dir, out string) error {
	cc, err := compiler(ctx)
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(out), "extension")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	archive := filepath.Join(tmp, "litestream-vfs.a") // and litestream-vfs.h beside it
	err = goBuild(ctx, t, dir, archive, "CGO_ENABLED=1", "-tags=vfs,SQLITE3VFS_LOADABLE_EXT", "-buildmode=c-archive")
	if err != nil {
		return err
	}
	list := exec.CommandContext(ctx, "go", "list", "-C", dir, "-m", "-f", "{{.Dir}}", "github.com/benbjohnson/litestream")
	list.Env = append(os.Environ(), "GOFLAGS=-mod=readonly", "GOWORK=off")
	source, err := list.Output()
	if err != nil {
		return fmt.Errorf("%s: %w", list, err)
	}
	args := slices.Concat(cc[1:], []string{"-DSQLITE3VFS_LOADABLE_EXT", "-O2", "-fPIC", "-shared", "-I", tmp, "-o", out,
		filepath.Join(strings.TrimSpace(string(source)), "src", "litestream-vfs.c"), archive}, linkerFlags)
	return runBuild(ctx, exec.CommandContext(ctx, cc[0], args...))
}
