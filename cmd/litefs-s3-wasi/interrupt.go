//go:build wasip1

package main

import (
	"context"
	"errors"
)

// interrupt is the context of a call. SQLite asks it between its instructions, the pump while requests are under way, and it asks the
// host: nobody else can tell a module that has one thread.
type interrupt struct {
	context.Context
	cancel context.CancelCauseFunc
}

var errStopped = errors.New("the host has stopped it")

func newInterrupt() *interrupt {
	ctx, cancel := context.WithCancelCause(context.Background())
	return &interrupt{ctx, cancel}
}

func (i *interrupt) Err() error {
	if hostStop() != 0 {
		i.cancel(errStopped)
	}
	return i.Context.Err()
}

func (i *interrupt) end() { i.cancel(nil) }
