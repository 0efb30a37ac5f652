package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"

	"github.com/litefs-s3/litefs-s3/objstore"
)

// errStuck is both, in one line.
var errStuck = fmt.Errorf("%w: %w", ErrStalled, objstore.ErrTemporary)

// Explain says what a request that got no whole answer died of, without its URL, and which sentinel of objstore it is.
// Most of it may pass; kind is nil for what will not.
func Explain(err error) (text string, kind error) {
	var untrusted *tls.CertificateVerificationError
	switch {
	case errors.Is(err, ErrStalled):
		return "the connection is stuck", errStuck
	case errors.As(err, &untrusted):
		return untrusted.Error(), nil
	case errors.Is(err, http.ErrSchemeMismatch):
		return "the server speaks plain http; write http:// if that is meant", nil
	case errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded):
		return "timed out", objstore.ErrTemporary
	}
	return innermost(err), objstore.ErrTemporary
}

// innermost is the text of the part of err that knows most and says least about URLs.
func innermost(err error) string {
	var (
		opErr  *net.OpError
		urlErr *url.Error
	)
	switch {
	case errors.As(err, &opErr):
		return opErr.Error()
	case errors.As(err, &urlErr):
		return urlErr.Err.Error()
	}
	return err.Error()
}
