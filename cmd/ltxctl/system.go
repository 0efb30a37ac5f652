package main

import (
	"cmp"
	"context"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/litefs-s3/litefs-s3/objstore"
)

// system is what a command sees of the world. Tests hand in their own.
type system struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	now            func() time.Time
	getenv         func(string) string

	// terminal tells whether a stream is one, and how many columns it has.
	terminal func(stream any) (width int, ok bool)
	// lines is the number of lines of a stream that is a terminal.
	lines func(stream any) int
	// interruptible returns a context that ends when the user presses Ctrl-C. After stop it no longer does.
	interruptible func(context.Context) (ctx context.Context, stop context.CancelFunc)
	// prompt returns an editor for lines of the terminal, or nil when there is no terminal to type on.
	prompt func() editor
	// store, when not nil, is what every replica URL means.
	store objstore.Store
}

func hostSystem() *system {
	return &system{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		now: time.Now, getenv: os.Getenv,
		terminal:      terminalWidth,
		lines:         terminalLines,
		interruptible: untilSignal,
		prompt:        newLiner,
	}
}

func terminalWidth(stream any) (width int, ok bool) {
	f, ok := stream.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	const usual = 80
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 {
		return n, true
	}
	width, _, _ = term.GetSize(int(f.Fd()))
	return cmp.Or(width, usual), true
}

func terminalLines(stream any) int {
	const usual = 24
	f, ok := stream.(*os.File)
	if !ok {
		return usual
	}
	_, height, _ := term.GetSize(int(f.Fd()))
	return cmp.Or(height, usual)
}

// untilSignal ends the context at the first Ctrl-C. The second one ends the process, in case the first does not help.
func untilSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}
