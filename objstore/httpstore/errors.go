package httpstore

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/internal/wire"
)

// statusError is an answer that is not a success.
type statusError struct{ code int }

func (e *statusError) Error() string {
	text := fmt.Sprintf("status %d", e.code)
	if kind := e.Unwrap(); kind != nil {
		text = fmt.Sprintf("%v: %s", kind, text)
	}
	if e.Unwrap() == objstore.ErrAccess {
		text += " (S3 says this of missing objects, too, to those who may not list)"
	}
	return text
}

func (e *statusError) Unwrap() error {
	switch e.code {
	case http.StatusNotFound, http.StatusGone:
		return objstore.ErrNotFound
	case http.StatusUnauthorized, http.StatusForbidden:
		return objstore.ErrAccess
	case http.StatusPreconditionFailed:
		return objstore.ErrChanged
	case http.StatusRequestedRangeNotSatisfiable:
		return objstore.ErrShortObject
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return objstore.ErrTemporary
	}
	if e.code >= 500 && e.code != http.StatusNotImplemented {
		return objstore.ErrTemporary
	}
	return nil
}

// ownError is an error made in this package, to be reported as it is.
type ownError struct{ err error }

func (e *ownError) Error() string { return e.err.Error() }

// bodyError keeps what wire says of a body and leaves errors of the network to fail.
func bodyError(err error) error {
	for _, known := range []error{objstore.ErrShortObject, objstore.ErrTemporary, objstore.ErrUnsupported} {
		if errors.Is(err, known) {
			return &ownError{err}
		}
	}
	return err
}

// fail turns any error into that of op on key.
func (s *Store) fail(ctx context.Context, op, key string, err error) error {
	var (
		own    *ownError
		status *statusError
	)
	switch {
	case ctx.Err() != nil:
		err = ctx.Err()
	case errors.As(err, &own):
		err = own.err
	case errors.As(err, &status):
		err = status
	default:
		err = networkError(err)
	}
	return &objstore.OpError{Op: op, Key: key, Err: err}
}

func networkError(err error) error {
	text, kind := wire.Explain(err)
	if kind == nil {
		return errors.New(text)
	}
	return fmt.Errorf("%s: %w", text, kind)
}
