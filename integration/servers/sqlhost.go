package servers

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"time"
)

// SQLHost is a process in which the C SQLite runs, with loadable extensions: for comparisons. One caller at a time.
type SQLHost struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	log *logBuffer
}

// SQLAnswers are what a statement said: the first column of the first row of each run.
type SQLAnswers struct {
	Rows  []string
	Times []time.Duration // of each run
	Total time.Duration   // of the whole command
}

// OpenSQLHost starts a host that may use the server. It ends with Close, with ctx, or with this process.
func OpenSQLHost(ctx context.Context, s3 S3) (*SQLHost, error) {
	path, err := Build(ctx, "vfshost")
	if err != nil {
		return nil, err
	}
	h := &SQLHost{cmd: exec.CommandContext(ctx, path), log: new(logBuffer)}
	h.cmd.Env = cleanEnv(append(s3.Env(), "LITESTREAM_LOG_FILE="+standardError)...)
	h.cmd.Stderr, h.cmd.WaitDelay = h.log, killWait
	if h.in, err = h.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start vfshost: %w", err)
	}
	out, err := h.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start vfshost: %w", err)
	}
	h.out = bufio.NewReader(out)
	if err := h.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start vfshost: %w", err)
	}
	return h, nil
}

// standardError is where the extension writes its log: its standard output is for answers.
const standardError = "/dev/stderr"

// LoadLitestream loads Litestream's extension, which knows the VFS litestream from then on.
func (h *SQLHost) LoadLitestream(ctx context.Context) error {
	path, err := Build(ctx, "litestream-vfs")
	if err != nil {
		return err
	}
	_, err = h.do(hostCommand{Do: "load", Name: path})
	return err
}

// Open opens the one connection.
func (h *SQLHost) Open(name string) (time.Duration, error) {
	a, err := h.do(hostCommand{Do: "open", Name: name})
	return a.Total, err
}

// Query prepares a statement and runs it for each argument, or once when there are none.
func (h *SQLHost) Query(text string, args ...int64) (SQLAnswers, error) {
	return h.do(hostCommand{Do: "query", Name: text, Args: args})
}

// CloseDatabase closes the connection.
func (h *SQLHost) CloseDatabase() error {
	_, err := h.do(hostCommand{Do: "close"})
	return err
}

// Close ends the process.
func (h *SQLHost) Close() error {
	err := h.in.Close()
	if waited := h.cmd.Wait(); waited != nil {
		return errors.Join(err, fmt.Errorf("vfshost ended with %w; the end of its log:\n%s", waited, h.log.tail()))
	}
	return err
}

// hostCommand is a line of the host's input; the host's own package says what it may be.
type hostCommand struct {
	Do   string  `json:"do"`
	Name string  `json:"name,omitempty"`
	Args []int64 `json:"args,omitempty"`
}

func (h *SQLHost) do(c hostCommand) (SQLAnswers, error) {
	line, err := json.Marshal(c)
	if err != nil {
		return SQLAnswers{}, err
	}
	_, err = h.in.Write(append(line, '\n'))
	if err == nil {
		line, err = h.out.ReadBytes('\n')
	}
	var answer struct {
		Rows  []string `json:"rows"`
		NS    []int64  `json:"ns"`
		Total int64    `json:"total"`
		Err   string   `json:"err"`
	}
	if err == nil {
		err = json.Unmarshal(line, &answer)
	}
	if err == nil && answer.Err != "" {
		err = errors.New(answer.Err)
	}
	if err != nil {
		return SQLAnswers{}, fmt.Errorf("vfshost on %s: %s %q: %w; the end of its log:\n%s", runtime.GOOS, c.Do, c.Name, err, h.log.tail())
	}
	out := SQLAnswers{Rows: answer.Rows, Total: time.Duration(answer.Total)}
	for _, ns := range answer.NS {
		out.Times = append(out.Times, time.Duration(ns))
	}
	return out, nil
}
