package integration

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
)

// children are what the test binary does instead of the tests when a variable of the environment says so: a process of its own, to be
// killed and stopped.
var children = map[string]func(job string) error{
	hydrationChild: hydrateSlowly,
	writerChild:    commitForEver,
	compactorChild: compactForEver,
	restoreChild:   restoreForEver,
	followChild:    followForEver,
	fullChild:      meetFullDisk,
}

func TestMain(m *testing.M) {
	for name, run := range children {
		if job := os.Getenv(name); job != "" {
			if err := run(job); err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
			return
		}
	}
	os.Exit(m.Run())
}

// child is a running process of the test binary.
type child struct {
	*exec.Cmd
	lines *bufio.Scanner // of what it prints
	in    io.WriteCloser
}

func startChild(t *testing.T, name, job string) *child {
	t.Helper()
	c := newChild(t, name, job)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.kill)
	return c
}

// newChild is one that does not run yet.
func newChild(t *testing.T, name, job string) *child {
	t.Helper()
	c := &child{Cmd: exec.Command(os.Args[0])}
	c.Env = append(os.Environ(), name+"="+job)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if c.in, err = c.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	c.lines = bufio.NewScanner(out)
	return c
}

// kill ends the process at once. Killing it twice does nothing.
func (c *child) kill() {
	if c.ProcessState == nil {
		c.Process.Kill() // or it has ended
		c.Wait()         // that it was killed is no news
	}
}

func (c *child) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := c.Process.Signal(s); err != nil {
		t.Errorf("%s to the child: %v", s, err)
	}
}
