package fetchstore

import (
	"errors"
	"fmt"

	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/internal/reply"
)

var (
	// ErrCORS: the server answers, and the browser does not let the page read that, or a header of it.
	ErrCORS = errors.New("blocked by CORS")
	// ErrExpired: the credentials were good once.
	ErrExpired = fmt.Errorf("credentials have expired: %w", objstore.ErrAccess)
)

// CredentialsError is why there are no credentials to sign with.
type CredentialsError struct{ Err error }

func (e *CredentialsError) Error() string { return fmt.Sprintf("no credentials: %v", e.Err) }

// Unwrap makes it an ErrAccess as well.
func (e *CredentialsError) Unwrap() []error { return []error{e.Err, objstore.ErrAccess} }

// statusError is an answer that is not a success.
type statusError struct {
	status  int
	code    string // S3's own, such as NoSuchKey; empty if it said none
	message string
}

func newStatusError(status int, body string) *statusError {
	code, message := reply.ParseError(body)
	return &statusError{status, code, message}
}

func (e *statusError) Error() string {
	text := fmt.Sprintf("status %d", e.status)
	if e.code != "" {
		text = fmt.Sprintf("%s %.60s: %.300s", text, e.code, e.message)
	}
	if kind := e.Unwrap(); kind != nil {
		text = fmt.Sprintf("%v: %s", kind, text)
	}
	return text + e.advice()
}

// advice is what to do, where that is not plain.
func (e *statusError) advice() string {
	switch e.code {
	case "AuthorizationHeaderMalformed", "AuthorizationQueryParametersError", "PermanentRedirect":
		return " (the bucket may be in another region: set region in the replica's URL)"
	case "RequestTimeTooSkewed":
		return " (the clock of this device is wrong)"
	case "InvalidAccessKeyId", "SignatureDoesNotMatch":
		return " (check accessKeyId and secretAccessKey)"
	}
	if e.Unwrap() == objstore.ErrAccess {
		return " (S3 says this of missing objects, too, to those who may not list)"
	}
	return ""
}

// Unwrap is the sentinel for it: S3's own words come before the number.
func (e *statusError) Unwrap() error {
	switch e.code {
	case "NoSuchBucket":
		return objstore.ErrNoBucket
	case "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired":
		return ErrExpired
	case "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "InvalidTokenId", "RequestTimeTooSkewed",
		"AuthorizationHeaderMalformed", "AuthorizationQueryParametersError":
		return objstore.ErrAccess
	}
	switch e.status {
	case 404, 410:
		return objstore.ErrNotFound
	case 401, 403:
		return objstore.ErrAccess
	case 412:
		return objstore.ErrChanged
	case 416:
		return objstore.ErrShortObject
	case 408, 425, 429:
		return objstore.ErrTemporary
	}
	if e.status >= 500 && e.status != 501 {
		return objstore.ErrTemporary
	}
	return nil
}
