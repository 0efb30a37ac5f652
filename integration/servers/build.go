package servers

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/litefs-s3/litefs-s3/integration/filecache"
)

// tools names the package of each server's main function. The version is the one in <name>/go.mod.
var tools = map[string]string{
	"minio":      "github.com/minio/minio",
	"litestream": "github.com/benbjohnson/litestream/cmd/litestream",
}

// Names lists the servers that Build knows.
func Names() []string { return []string{"minio", "litestream"} }

// Build returns the path of the server's executable and builds it if this machine has not done so yet, for this
// version and this version of Go. That takes a minute or two, so Build says on standard error that it does.
// Several processes may ask at once; one builds.
func Build(ctx context.Context, name string) (path string, err error) {
	pkg, ok := tools[name]
	if !ok {
		return "", fmt.Errorf("no server named %q: known are %v", name, Names())
	}
	dir, err := moduleDir(name)
	if err != nil {
		return "", err
	}
	key, err := buildKey(dir)
	if err != nil {
		return "", fmt.Errorf("module of %s: %w", name, err)
	}
	return filecache.File(ctx, "servers/"+key+"/"+executable(name), func(ctx context.Context, tmp string) error {
		return goBuild(ctx, dir, pkg, tmp)
	})
}

// moduleDir is the folder of the nested module that pins the server's version.
func moduleDir(name string) (string, error) {
	if _, file, _, ok := runtime.Caller(0); ok && filepath.IsAbs(file) {
		if dir := filepath.Join(filepath.Dir(file), name); isModule(dir) {
			return dir, nil
		}
	}
	// Compiled with -trimpath: the tool chain knows where this package lies.
	out, err := exec.Command("go", "list", "-f", "{{.Dir}}", "github.com/litefs-s3/litefs-s3/integration/servers").Output()
	dir := filepath.Join(strings.TrimSpace(string(out)), name)
	if err != nil || !isModule(dir) {
		return "", fmt.Errorf("folder integration/servers/%s not found: run inside a checkout of litefs-s3 (%v)", name, err)
	}
	return dir, nil
}

func isModule(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

// buildKey hashes everything that decides what the built executable is.
func buildKey(dir string) (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, runtime.Version(), runtime.GOOS, runtime.GOARCH, buildFlags)
	for _, name := range []string{"go.mod", "go.sum"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return "", err
		}
		fmt.Fprintln(h, name, len(data))
		h.Write(data)
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:8]), nil
}

// buildFlags leave out what only a debugger reads: it halves the file.
var buildFlags = []string{"-trimpath", "-ldflags=-s -w"}

// goBuild builds pkg of the module in dir and puts the executable at out.
func goBuild(ctx context.Context, dir, pkg, out string) error {
	start := time.Now()
	fmt.Fprintf(os.Stderr, "building %s once for the tests; this takes a minute or two\n", pkg)
	args := slices.Concat([]string{"build", "-C", dir, "-o", out}, buildFlags, []string{pkg})
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=readonly", "GOWORK=off", "CGO_ENABLED=0",
		"GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = io.Discard, &log
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("go build %s: %w; to give it time, run go run ./integration/servers/prebuild", pkg,
				context.Cause(ctx))
		}
		return errors.Join(fmt.Errorf("go %s: %w", strings.Join(args, " "), err), errors.New(lastBytes(log.String(), 4<<10)))
	}
	fmt.Fprintf(os.Stderr, "built %s in %s\n", pkg, time.Since(start).Round(time.Second))
	return nil
}

func executable(name string) string {
	if runtime.GOOS == "windows" {
		return name + ".exe"
	}
	return name
}
