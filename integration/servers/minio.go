package servers

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// storeStart is how long a store may take to answer after its start. It takes well under a second on an idle machine.
const storeStart = 60 * time.Second

// MinIO is a running MinIO server on loopback with one disk. As an [S3] it is the client to itself.
type MinIO struct {
	S3

	addr   string // host:port, the same for the server's whole life
	dir    string // holds data and certs
	log    *logBuffer
	env    []string // variables that only this server gets
	shared bool
	mu     sync.Mutex
	proc   *process // guarded by mu; replaced by Restart
}

// shared is the server of this process that StartMinIO hands out.
var shared struct {
	once    sync.Once
	server  *MinIO
	janitor *janitor
	err     error
}

// StartMinIO returns the MinIO server that all tests of this process share, and starts it for the first of them. It
// ends with the process. If t fails, what the server printed meanwhile is shown.
func StartMinIO(t testing.TB) *MinIO {
	t.Helper()
	shared.once.Do(startShared)
	if shared.err != nil {
		t.Fatalf("no MinIO for the tests: %v", shared.err)
	}
	showLogIfFailed(t, "MinIO", shared.server.log)
	return shared.server
}

// startShared runs under no test's context: the server outlives the test that needs it first.
func startShared() {
	dir, err := os.MkdirTemp("", "litefs-s3-minio-")
	if err != nil {
		shared.err = err
		return
	}
	m, err := OpenMinIO(context.Background(), dir)
	if err != nil {
		shared.err = errors.Join(err, os.RemoveAll(dir))
		return
	}
	shared.janitor, err = hireJanitor(m.proc.cmd.Process.Pid, dir)
	if err != nil {
		shared.err = errors.Join(err, m.Kill(), os.RemoveAll(dir))
		return
	}
	m.shared = true
	shared.server = m
}

// NewMinIO starts a server of the test's own, which it may stop, kill, pause and restart. The data lies in dir; an
// empty dir means a temporary one. The server is killed at the end of the test.
func NewMinIO(t testing.TB, dir string) *MinIO {
	t.Helper()
	if dir == "" {
		dir = t.TempDir()
	}
	m, err := OpenMinIO(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Kill(); err != nil {
			t.Error(err)
		}
	})
	showLogIfFailed(t, "MinIO", m.log)
	return m
}

// OpenMinIO starts a server with random credentials on a free port, with its data in dir, and waits until it answers.
// ctx bounds the start, not the server's life: the caller ends it with Stop or Kill.
func OpenMinIO(ctx context.Context, dir string) (*MinIO, error) {
	return openMinIO(ctx, &MinIO{dir: dir, S3: S3{Endpoint: "http://"}})
}

// openMinIO starts a server as the template says, whose Endpoint is the scheme alone.
func openMinIO(ctx context.Context, template *MinIO) (*MinIO, error) {
	path, err := Build(ctx, "minio")
	if err != nil {
		return nil, err
	}
	const tries = 3 // somebody else may take the port between our finding and MinIO's using it
	for try := 1; ; try++ {
		addr, err := freeAddr()
		if err != nil {
			return nil, err
		}
		m := &MinIO{S3: template.S3, addr: addr, dir: template.dir, env: template.env, log: new(logBuffer)}
		m.Endpoint += addr
		m.AccessKey, m.SecretKey = rand.Text()[:20], rand.Text()
		if err = m.start(ctx, path); err == nil {
			return m, nil
		}
		if try == tries || !strings.Contains(m.log.tail(), "already in use") {
			return nil, err
		}
	}
}

// start starts the process and waits until it answers a signed request.
func (m *MinIO) start(ctx context.Context, path string) error {
	data, certs := filepath.Join(m.dir, "data"), filepath.Join(m.dir, "certs")
	if err := errors.Join(os.MkdirAll(data, 0o755), os.MkdirAll(certs, 0o755)); err != nil {
		return err
	}
	args := []string{"server", "--quiet", "--address", m.addr, "--certs-dir", certs, data}
	env := cleanEnv("MINIO_ROOT_USER="+m.AccessKey, "MINIO_ROOT_PASSWORD="+m.SecretKey,
		"MINIO_BROWSER=off", "MINIO_UPDATE=off", "MINIO_CI_CD=on") // the last one: data on the root disk is fine
	env = append(env, m.env...)
	proc, err := startProcess("MinIO", path, args, env, m.log)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, storeStart)
	defer cancel()
	if err := proc.poll(ctx, m.answers); err != nil {
		return errors.Join(err, proc.kill())
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.proc = proc
	return nil
}

// Bucket makes a bucket for one test and returns its name. It is removed with the test's end.
func (m *MinIO) Bucket(t testing.TB) string {
	t.Helper()
	name := "test-" + strings.ToLower(rand.Text()[:16])
	if err := m.CreateBucket(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if !m.current().running() {
			return // the test killed the server; its data goes with its directory
		}
		if err := m.RemoveBucket(ctx, name); err != nil {
			t.Errorf("remove the test's bucket: %v", err)
		}
	})
	return name
}

// SetEnv sets the variables of Env for the rest of the test, in this process.
func (m *MinIO) SetEnv(t testing.TB) {
	t.Helper()
	for _, kv := range m.Env() {
		name, value, _ := strings.Cut(kv, "=")
		t.Setenv(name, value)
	}
}

// Stop ends the server in good order. Its data stays in its directory.
func (m *MinIO) Stop(ctx context.Context) error {
	if err := m.own("stop"); err != nil {
		return err
	}
	return m.current().stop(ctx, os.Interrupt)
}

// Kill ends the server as a crash does. Killing one that has ended is no error.
func (m *MinIO) Kill() error {
	if err := m.own("kill"); err != nil {
		return err
	}
	return m.current().kill()
}

// Restart starts a server that was stopped or killed (it kills one that runs), with the same data, credentials and
// address, and waits until it answers.
func (m *MinIO) Restart(ctx context.Context) error {
	if err := m.Kill(); err != nil {
		return err
	}
	path, err := Build(ctx, "minio")
	if err != nil {
		return err
	}
	return m.start(ctx, path)
}

// Pause freezes the server: connections are accepted and nothing is answered, until Resume.
func (m *MinIO) Pause() error {
	if err := m.own("pause"); err != nil {
		return err
	}
	return m.current().signal(sigPause)
}

// Resume lets a paused server go on.
func (m *MinIO) Resume() error {
	if err := m.own("resume"); err != nil {
		return err
	}
	return m.current().signal(sigResume)
}

// Log returns what the server printed lately.
func (m *MinIO) Log() string { return m.log.since(0) }

// own refuses what would hurt other tests.
func (m *MinIO) own(verb string) error {
	if m.shared {
		return fmt.Errorf("cannot %s the MinIO that all tests share: start one of your own with NewMinIO", verb)
	}
	return nil
}

func (m *MinIO) current() *process {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.proc
}

// showLogIfFailed prints what the server printed from now to the end of the test, if the test failed.
func showLogIfFailed(t testing.TB, name string, log *logBuffer) {
	mark := log.mark()
	t.Cleanup(func() {
		if printed := log.since(mark); t.Failed() && printed != "" {
			t.Logf("log of %s:\n%s", name, lastBytes(printed, 16<<10))
		}
	})
}
