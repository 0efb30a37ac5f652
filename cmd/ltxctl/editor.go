package main

import (
	"bufio"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/peterh/liner"
)

// errLineCancelled: the user pressed Ctrl-C while typing.
var errLineCancelled = errors.New("line cancelled")

// editor reads lines.
type editor interface {
	// Line returns the next line without its end; io.EOF when there is none, errLineCancelled after Ctrl-C.
	Line(prompt string) (string, error)
	// Close gives the terminal back.
	Close() error
}

// pipe reads lines that nobody types.
type pipe struct{ r *bufio.Reader }

func (p pipe) Line(string) (string, error) {
	line, err := p.r.ReadString('\n')
	if err == io.EOF && line != "" {
		err = nil
	}
	return strings.TrimRight(line, "\r\n"), err
}

func (p pipe) Close() error { return nil }

// terminalEditor edits lines, with a history that is kept in a file, and completes words.
type terminalEditor struct {
	state   *liner.State
	history string // file; empty when there is no place for one
}

// completer is what an editor that can complete words asks: what may stand instead of the last word of line.
type completer interface {
	complete(func(line string) (head string, words []string))
}

// newLiner returns an editor on the terminal, or nil when standard input or output is none.
func newLiner() editor {
	if _, ok := terminalWidth(os.Stdin); !ok {
		return nil
	}
	if _, ok := terminalWidth(os.Stdout); !ok {
		return nil
	}
	e := &terminalEditor{state: liner.NewLiner(), history: historyFile()}
	e.state.SetCtrlCAborts(true)
	e.state.SetMultiLineMode(true)
	e.state.SetTabCompletionStyle(liner.TabPrints)
	if f, err := os.Open(e.history); err == nil {
		e.state.ReadHistory(f) // a damaged history is no reason to stop
		f.Close()
	}
	return e
}

// historyFile is in the user's cache directory.
func historyFile() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "litefs-s3", "ltxctl-history")
}

func (e *terminalEditor) complete(fn func(line string) (string, []string)) {
	e.state.SetWordCompleter(func(line string, pos int) (head string, words []string, tail string) {
		before := string([]rune(line)[:pos])
		head, words = fn(before)
		return head, words, string([]rune(line)[pos:])
	})
}

func (e *terminalEditor) Line(prompt string) (string, error) {
	line, err := e.state.Prompt(prompt)
	switch {
	case errors.Is(err, liner.ErrPromptAborted):
		return "", errLineCancelled
	case err == nil && strings.TrimSpace(line) != "":
		e.state.AppendHistory(line)
	}
	return line, err
}

// Close keeps the history, for its owner alone: statements may hold anything.
func (e *terminalEditor) Close() error {
	defer e.state.Close()
	if e.history == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(e.history), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(e.history, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = e.state.WriteHistory(f)
	return errors.Join(err, f.Close())
}
