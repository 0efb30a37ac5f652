package main

import (
	"context"
	"errors"
)

// goOn is an error after which there is something to know about what was left, and how to go on.
type goOn struct {
	err  error
	next string
}

func (e *goOn) Error() string { return e.err.Error() }

func (e *goOn) Unwrap() error { return e.err }

// interruptedIn adds to the error of a command that was interrupted what it leaves behind and how to go on.
func interruptedIn(ctx context.Context, err error, next string) error {
	if _, told := errors.AsType[*goOn](err); err == nil || ctx.Err() == nil || told {
		return err
	}
	if !errors.Is(err, context.Canceled) {
		err = errors.Join(context.Canceled, err)
	}
	return &goOn{err, next}
}
