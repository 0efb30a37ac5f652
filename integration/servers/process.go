package servers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// killWait is how long a process gets to vanish after SIGKILL before we say that it does not.
const killWait = 10 * time.Second

// process is one running server.
type process struct {
	name string
	cmd  *exec.Cmd
	log  *logBuffer
	done chan struct{} // closed when the process has ended and its log is complete
	err  error         // how it ended; set before done is closed
}

// startProcess starts the executable at path. Everything it prints goes to log.
func startProcess(name, path string, args, env []string, log *logBuffer) (*process, error) {
	p := &process{name: name, cmd: exec.Command(path, args...), log: log, done: make(chan struct{})}
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = env, log, log
	p.cmd.SysProcAttr = childAttr()
	p.cmd.WaitDelay = killWait
	started := make(chan error)
	go p.run(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return p, nil
}

// run starts the process and waits for its end on one thread: Linux takes the end of the thread that started a process
// for the end of the parent.
func (p *process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.cmd.Start()
	started <- err
	if err == nil {
		p.err = p.cmd.Wait()
	}
	close(p.done)
}

// running reports whether the process has not ended yet.
func (p *process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// stop sends sig and waits until the process has ended by itself or ctx ends; then it kills it and says so.
func (p *process) stop(ctx context.Context, sig os.Signal) error {
	if !p.running() {
		return p.endedEarly()
	}
	if err := p.cmd.Process.Signal(sig); err != nil {
		return errors.Join(fmt.Errorf("%s to %s: %w", sig, p.name, err), p.kill())
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("%s did not stop on %s: %w", p.name, sig, context.Cause(ctx)), p.kill())
	}
	if p.err != nil {
		return fmt.Errorf("%s ended with %w; the end of its log:\n%s", p.name, p.err, p.log.tail())
	}
	return nil
}

// kill ends the process without warning, as a crash does. Killing one that has ended is no error.
func (p *process) kill() error {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill %s: %w", p.name, err)
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(killWait):
		return fmt.Errorf("%s (process %d) is still there after being killed", p.name, p.cmd.Process.Pid)
	}
}

// signal sends sig, which may be nil on systems that do not have it.
func (p *process) signal(sig os.Signal) error {
	if sig == nil {
		return fmt.Errorf("signal %s on %s: %w", p.name, runtime.GOOS, errors.ErrUnsupported)
	}
	if err := p.cmd.Process.Signal(sig); err != nil {
		return fmt.Errorf("%s to %s: %w", sig, p.name, err)
	}
	return nil
}

// endedEarly is the error of a process that ended when nobody had asked it to.
func (p *process) endedEarly() error {
	return fmt.Errorf("%s has ended already (%v); the end of its log:\n%s", p.name, p.err, p.log.tail())
}

// poll calls ready every few milliseconds until it returns nil. It fails when the process or ctx ends first.
func (p *process) poll(ctx context.Context, ready func(context.Context) error) error {
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return p.endedEarly()
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w (%v); the end of its log:\n%s", p.name, err, context.Cause(ctx), p.log.tail())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// logBuffer keeps the last bytes that a server printed. It is safe for concurrent use.
type logBuffer struct {
	mu    sync.Mutex
	data  []byte // guarded by mu: the last bytes written, at most 2*logKeep
	total int64  // guarded by mu: bytes written since the start
}

const (
	logKeep = 1 << 20 // bytes kept of one server's log
	logTail = 4 << 10 // bytes of a log in an error
)

// Write appends p and forgets what is too old.
func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.data = append(b.data, p...)
	b.total += int64(len(p))
	if len(b.data) > 2*logKeep {
		b.data = slices.Clone(b.data[len(b.data)-logKeep:])
	}
	return len(p), nil
}

// mark is the position of the next byte to be written, for since.
func (b *logBuffer) mark() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.total
}

// since returns what was written after mark, as far as it is kept.
func (b *logBuffer) since(mark int64) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.data[max(0, int64(len(b.data))-(b.total-mark)):])
}

// tail returns the last few kilobytes.
func (b *logBuffer) tail() string { return lastBytes(b.since(0), logTail) }

func lastBytes(s string, n int) string {
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}

// cleanEnv is the environment of this process without the variables that configure S3 clients and the servers, and with
// extra added.
func cleanEnv(extra ...string) []string {
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		for _, prefix := range []string{"AWS_", "MINIO_", "LITESTREAM_", "LOG_LEVEL="} {
			if strings.HasPrefix(kv, prefix) {
				return true
			}
		}
		return false
	})
	return append(env, extra...)
}

// freeAddr returns a loopback address that nobody listened on a moment ago.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	addr := l.Addr().String()
	return addr, l.Close()
}
