package servers

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/litefs-s3/litefs-s3/integration/filecache"
)

// tool is a program, or a library of C, that is built from a module.
type tool struct {
	module string // the folder whose go.mod pins the version
	pkg    string // its main package
	build  func(ctx context.Context, t tool, dir, out string) error
	source []string // files of the folder that decide what is built, beside go.mod and go.sum
}

var tools = map[string]tool{
	"minio":          {module: "minio", pkg: "github.com/minio/minio", build: buildGo},
	"versitygw":      {module: "versitygw", pkg: "github.com/versity/versitygw/cmd/versitygw", build: buildGo},
	"litestream":     {module: "litestream", pkg: "github.com/benbjohnson/litestream/cmd/litestream", build: buildGo},
	"litestream-vfs": {module: "litestream", pkg: "github.com/benbjohnson/litestream/cmd/litestream-vfs", build: buildExtension},
	"vfshost":        {module: "vfshost", pkg: ".", build: buildCgo, source: []string{"main.go"}},
}

// Names lists the servers that the tests need.
func Names() []string { return []string{"minio", "versitygw", "litestream"} }

// Peers lists what is compared with this project, and needs a compiler for C.
func Peers() []string { return []string{"litestream-vfs", "vfshost"} }

// Build returns the path of what is built and builds it if this machine has not done so yet, for this
// version and this version of Go. That takes a minute or two, so Build says on standard error that it does.
// Several processes may ask at once; one builds.
func Build(ctx context.Context, name string) (path string, err error) {
	t, ok := tools[name]
	if !ok {
		return "", fmt.Errorf("no server named %q: known are %v", name, slices.Sorted(maps.Keys(tools)))
	}
	dir, err := moduleDir(t.module)
	if err != nil {
		return "", err
	}
	key, err := buildKey(dir, t.source...)
	if err != nil {
		return "", fmt.Errorf("module of %s: %w", name, err)
	}
	return filecache.File(ctx, "servers/"+key+"/"+executable(name), func(ctx context.Context, tmp string) error {
		return announce(name, func() error { return t.build(ctx, t, dir, tmp) })
	})
}

// announce says on standard error what is built, and how long it took.
func announce(what string, build func() error) error {
	start := time.Now()
	fmt.Fprintf(os.Stderr, "building %s once for the tests; this takes a minute or two\n", what)
	if err := build(); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "built %s in %s\n", what, time.Since(start).Round(time.Second))
	return nil
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
func buildKey(dir string, source ...string) (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, runtime.Version(), runtime.GOOS, runtime.GOARCH, buildFlags)
	for _, name := range append([]string{"go.mod", "go.sum"}, source...) {
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

// buildGo builds a program that is all Go.
func buildGo(ctx context.Context, t tool, dir, out string) error {
	return goBuild(ctx, t, dir, out, "CGO_ENABLED=0")
}

// goBuild builds the tool in its module's folder dir and puts the result at out. env and args are added to the tool chain's.
func goBuild(ctx context.Context, t tool, dir, out, env string, args ...string) error {
	args = slices.Concat([]string{"build", "-C", dir, "-o", out}, buildFlags, args, []string{t.pkg})
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=readonly", "GOWORK=off", env,
		"GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
	return runBuild(ctx, cmd)
}

// runBuild runs one command of a build.
func runBuild(ctx context.Context, cmd *exec.Cmd) error {
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = io.Discard, &log
	err := cmd.Run()
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w; to give it time, run go run ./integration/servers/prebuild", cmd, context.Cause(ctx))
	}
	return errors.Join(fmt.Errorf("%s: %w", cmd, err), errors.New(lastBytes(log.String(), 4<<10)))
}

// executable is the name of the file. SQLite wants that of an extension to say what it is.
func executable(name string) string {
	switch {
	case name == "litestream-vfs":
		return name + ".so"
	case runtime.GOOS == "windows":
		return name + ".exe"
	}
	return name
}
