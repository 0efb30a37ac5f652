package servers

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// VersityGW is a running Versity S3 Gateway on loopback that keeps its objects as files of a directory: a store by other people than MinIO's.
// As an [S3] it is the client to itself.
type VersityGW struct {
	S3

	proc *process
	log  *logBuffer
}

// StartVersityGW starts a gateway of the test's own, with random credentials on a free port, and waits until it answers.
func StartVersityGW(t testing.TB) *VersityGW {
	t.Helper()
	v, err := openVersityGW(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := v.proc.kill(); err != nil {
			t.Error(err)
		}
	})
	showLogIfFailed(t, "VersityGW", v.log)
	return v
}

func openVersityGW(ctx context.Context, dir string) (*VersityGW, error) {
	path, err := Build(ctx, "versitygw")
	if err != nil {
		return nil, err
	}
	data, meta := filepath.Join(dir, "data"), filepath.Join(dir, "meta") // metadata in files, as not every disk has extended attributes
	if err := errors.Join(os.MkdirAll(data, 0o755), os.MkdirAll(meta, 0o755)); err != nil {
		return nil, err
	}
	const tries = 3 // somebody else may take the port between our finding and its use
	for try := 1; ; try++ {
		v, err := startVersityGW(ctx, path, data, meta)
		if err == nil || try == tries || !strings.Contains(v.log.tail(), "in use") {
			return v, err
		}
	}
}

func startVersityGW(ctx context.Context, path, data, meta string) (*VersityGW, error) {
	v := &VersityGW{log: new(logBuffer)}
	addr, err := freeAddr()
	if err != nil {
		return v, err
	}
	v.S3 = S3{Endpoint: "http://" + addr, AccessKey: rand.Text()[:20], SecretKey: rand.Text()}
	args := []string{"--port", addr, "--quiet", "--keep-alive", "posix", "--sidecar", meta, data}
	env := cleanEnv("ROOT_ACCESS_KEY="+v.AccessKey, "ROOT_SECRET_KEY="+v.SecretKey)
	if v.proc, err = startProcess("VersityGW", path, args, env, v.log); err != nil {
		return v, err
	}
	ctx, cancel := context.WithTimeout(ctx, storeStart)
	defer cancel()
	if err := v.proc.poll(ctx, v.answers); err != nil {
		return v, errors.Join(err, v.proc.kill())
	}
	return v, nil
}

// Bucket makes a bucket for one test and returns its name. It goes with the gateway's directory.
func (v *VersityGW) Bucket(t testing.TB) string {
	t.Helper()
	name := "test-" + strings.ToLower(rand.Text()[:16])
	if err := v.CreateBucket(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	return name
}
