package world

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// asExample makes the test binary run the example's main instead of the tests.
const asExample = "EXAMPLES_RUN_MAIN"

// Main runs the tests, or the example's main in a process that Start has made.
func Main(m *testing.M, main func()) {
	if os.Getenv(asExample) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// Process is a running example.
type Process struct {
	URL     string    // http://host:port, once it has said so
	Started time.Time // just before
	cmd     *exec.Cmd
	ended   chan struct{}
	err     error // how it ended; set before ended is closed
	mu      sync.Mutex
	printed strings.Builder // guarded by mu
}

// Start runs the example of this test with arguments and waits until it says "listening on http://…".
func (w *World) Start(t testing.TB, args ...string) *Process {
	t.Helper()
	p := w.Run(t, nil, args...)
	Eventually(t, func() error {
		_, after, _ := strings.Cut(p.Printed(), "listening on ")
		url, _, whole := strings.Cut(after, "\n")
		if !whole {
			return p.silence()
		}
		p.URL = url
		return nil
	})
	return p
}

// Run runs the example with variables (NAME=value) added to the environment, and does not wait for anything.
func (w *World) Run(t testing.TB, env []string, args ...string) *Process {
	t.Helper()
	p := &Process{cmd: exec.Command(os.Args[0], args...), ended: make(chan struct{})}
	p.cmd.Env = append(append(os.Environ(), asExample+"=1"), env...)
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stderr = p.cmd.Stdout
	p.Started = time.Now()
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go p.watch(out)
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("the example %v printed:\n%s", args, p.Printed())
		}
	})
	return p
}

// watch keeps what the process prints, and waits for its end.
func (p *Process) watch(out io.Reader) {
	for lines := bufio.NewScanner(out); lines.Scan(); {
		p.mu.Lock()
		p.printed.WriteString(lines.Text() + "\n")
		p.mu.Unlock()
	}
	p.err = p.cmd.Wait()
	close(p.ended)
}

// Printed is what the process has printed so far.
func (p *Process) Printed() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.printed.String()
}

// Kill ends the process as a crash does.
func (p *Process) Kill() {
	p.cmd.Process.Kill() // or it has ended
	<-p.ended
}

// Signal sends a signal.
func (p *Process) Signal(t testing.TB, s os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatalf("%s to the example: %v", s, err)
	}
}

// Stop asks the process to end, and fails the test unless it ends well.
func (p *Process) Stop(t testing.TB) {
	t.Helper()
	p.Signal(t, syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(time.Minute):
		t.Fatal("the example does not end on SIGTERM")
	}
	if p.err != nil {
		t.Errorf("the example ended with %v", p.err)
	}
}

// Answer is what an example answered.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// Get asks a running example, with headers ("name", "value", …).
func (p *Process) Get(t testing.TB, path string, header ...string) Answer {
	t.Helper()
	a, err := p.Ask(http.MethodGet, path, "", header...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// Ask sends any request.
func (p *Process) Ask(method, path, body string, header ...string) (Answer, error) {
	req, err := http.NewRequest(method, p.URL+path, strings.NewReader(body))
	if err != nil {
		return Answer{}, err
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	client := http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return Answer{resp.StatusCode, resp.Header, string(data)}, err
}

// silence is why there is nothing to read yet.
func (p *Process) silence() error {
	select {
	case <-p.ended:
		return fmt.Errorf("the example has ended: %v", p.err)
	default:
		return errors.New("the example has not said where it listens")
	}
}

// Wait waits for the process to end by itself, and well, and returns what it printed.
func (p *Process) Wait(t testing.TB) string {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(time.Minute):
		t.Fatal("the example does not end")
	}
	if p.err != nil {
		t.Errorf("the example ended with %v", p.err)
	}
	return p.Printed()
}
