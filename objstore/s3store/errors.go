package s3store

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	smithy "github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/internal/wire"
)

// ResponseError is an answer of the server that is not a success. Its text holds no secrets.
type ResponseError struct {
	Status  int    // HTTP
	Code    string // S3's, such as "NoSuchKey"; may be empty
	Message string // S3's, shortened, or nothing
	Advice  string // what to do about it, or nothing
	kind    error  // a sentinel of objstore, or nil
}

func (e *ResponseError) Error() string {
	var b strings.Builder
	if e.kind != nil {
		fmt.Fprintf(&b, "%v: ", e.kind)
	}
	fmt.Fprintf(&b, "status %d", e.Status)
	if e.Code != "" {
		fmt.Fprintf(&b, " %s", e.Code)
	}
	if e.Message != "" {
		fmt.Fprintf(&b, ": %s", e.Message)
	}
	if e.Advice != "" {
		fmt.Fprintf(&b, " (%s)", e.Advice)
	}
	return b.String()
}

func (e *ResponseError) Unwrap() error { return e.kind }

// fail turns whatever the SDK returned into the error of op on key. It keeps nothing of the SDK's own error, which
// may quote headers and URLs.
func (s *Store) fail(ctx context.Context, op, key string, err error) error {
	err = s.translate(ctx, err)
	var answer *ResponseError
	if errors.As(err, &answer) && op == "list" && answer.kind == objstore.ErrNotFound && s.cfg.Endpoint != "" {
		answer.Advice = fmt.Sprintf("no bucket is listed there; check the endpoint %s, above all its path", s.cfg.Endpoint)
	}
	return &objstore.OpError{Op: op, Key: key, Err: err}
}

func (s *Store) translate(ctx context.Context, err error) error {
	var (
		response *smithyhttp.ResponseError
		creds    *credentialsError
		own      *ownError
	)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &own):
		return own.err
	case errors.As(err, &creds):
		return fmt.Errorf("credentials could not be renewed: %s: %w", s.redact(creds.err.Error()), objstore.ErrTemporary)
	case errors.As(err, &response) && response.Response != nil && response.Response.StatusCode >= 300:
		return s.responseError(response, err)
	}
	return s.networkError(err)
}

// ownError is an error made in this package that has passed through the SDK, or is to be reported as it is.
type ownError struct{ err error }

func (e *ownError) Error() string { return e.err.Error() }

func (s *Store) responseError(response *smithyhttp.ResponseError, err error) error {
	e := &ResponseError{Status: response.Response.StatusCode}
	var api smithy.APIError
	if errors.As(err, &api) {
		e.Code, e.Message = s.redact(api.ErrorCode()), s.redact(api.ErrorMessage())
	}
	if e.Code == "UnknownError" || strings.EqualFold(e.Code, http.StatusText(e.Status)) {
		e.Code = ""
	}
	e.Advice, e.kind = classify(e.Status, e.Code)
	if e.kind == objstore.ErrNoBucket {
		e.Advice = fmt.Sprintf("create the bucket %.100q or correct its name", s.cfg.Bucket)
	}
	if region := response.Response.Header.Get("X-Amz-Bucket-Region"); region != "" && region != s.region() && wrongRegion(e) {
		e.Advice = fmt.Sprintf("the bucket is in region %.40s and the request went to %s: set region=%.40[1]s",
			s.redact(region), s.region())
	}
	return e
}

// wrongRegion says whether the error is one that a request sent to another region than the bucket's meets.
func wrongRegion(e *ResponseError) bool {
	return e.Status == http.StatusMovedPermanently || e.Status == http.StatusTemporaryRedirect ||
		e.Code == "AuthorizationHeaderMalformed" || e.Code == "IllegalLocationConstraintException"
}

// What to do about answers that name their cause badly.
const (
	adviceKeys    = "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
	adviceExpired = "get new temporary credentials"
	adviceClock   = "set the clock of this machine"
	adviceRights  = "grant s3:GetObject, s3:PutObject, s3:DeleteObject and s3:ListBucket;" +
		" without the last one S3 says this of every missing object"
	adviceRedirect = "set region or endpoint to where the bucket is"
)

// classify says what an answer means to callers. Codes come first: stores disagree about statuses.
func classify(status int, code string) (advice string, kind error) {
	switch code {
	case "NoSuchBucket":
		return "", objstore.ErrNoBucket // responseError knows its name
	case "NoSuchKey", "NotFound":
		return "", objstore.ErrNotFound
	case "InvalidAccessKeyId", "SignatureDoesNotMatch":
		return adviceKeys, objstore.ErrAccess
	case "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "InvalidToken":
		return adviceExpired, objstore.ErrAccess
	case "AccessDenied", "AllAccessDisabled", "AccountProblem":
		return adviceRights, objstore.ErrAccess
	case "RequestTimeTooSkewed":
		return adviceClock, objstore.ErrAccess
	case "PreconditionFailed":
		return "", objstore.ErrChanged
	case "InvalidRange":
		return "", objstore.ErrShortObject
	case "PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException":
		return adviceRedirect, nil
	case "NotImplemented", "MethodNotAllowed":
		return "", objstore.ErrUnsupported
	case "SlowDown", "SlowDownRead", "SlowDownWrite", "RequestTimeout", "RequestCanceled", "InternalError",
		"ServiceUnavailable", "ConditionalRequestConflict", "OperationAborted", "IncompleteBody", "TooManyRequests", "Throttling":
		return "", objstore.ErrTemporary
	}
	return classifyStatus(status)
}

func classifyStatus(status int) (advice string, kind error) {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return adviceRights, objstore.ErrAccess
	case http.StatusNotFound:
		return "", objstore.ErrNotFound
	case http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return adviceRedirect, nil
	case http.StatusPreconditionFailed:
		return "", objstore.ErrChanged
	case http.StatusRequestedRangeNotSatisfiable:
		return "", objstore.ErrShortObject
	case http.StatusNotImplemented, http.StatusMethodNotAllowed:
		return "", objstore.ErrUnsupported
	case http.StatusRequestTimeout, http.StatusConflict, http.StatusTooEarly, http.StatusTooManyRequests:
		return "", objstore.ErrTemporary
	}
	if status >= 500 {
		return "", objstore.ErrTemporary
	}
	return "", nil
}

// networkError is for requests that got no answer, or one that made no sense.
func (s *Store) networkError(err error) error {
	var tooBad *smithy.DeserializationError
	if errors.As(err, &tooBad) && !errors.Is(err, wire.ErrStalled) {
		return fmt.Errorf("the answer makes no sense: %s: %w", s.redact(tooBad.Err.Error()), objstore.ErrTemporary)
	}
	text, kind := wire.Explain(err)
	var untrusted *tls.CertificateVerificationError
	switch {
	case errors.As(err, &untrusted):
		return fmt.Errorf("%s; name its authority in ca-file or AWS_CA_BUNDLE", s.redact(text))
	case kind == nil && s.cfg.Endpoint == "":
		return errors.New(s.redact(text))
	case kind == nil:
		return fmt.Errorf("endpoint %s: %s", s.cfg.Endpoint, s.redact(text))
	}
	return fmt.Errorf("%s: %w", s.redact(text), kind)
}

// statusOf returns the HTTP status an error of the SDK stands for, or 0.
func statusOf(err error) int {
	var response *smithyhttp.ResponseError
	if !errors.As(err, &response) || response.Response == nil {
		return 0
	}
	return response.Response.StatusCode
}

// codeOf returns the S3 code of an error of the SDK, or nothing.
func codeOf(err error) string {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return ""
	}
	return api.ErrorCode()
}

// signature matches what SigV4 leaves in headers and URLs.
var signature = regexp.MustCompile(`(?i)(signature|credential|security-token)(=|%3d|: ?)[^\s&,"'<]+`)

// maxMessage bounds what is repeated of a server's words.
const maxMessage = 300

// redact takes secrets and line breaks out of text that a server or a library wrote, and shortens it.
func (s *Store) redact(text string) string {
	if secrets := s.secrets.Load(); secrets != nil {
		text = secrets.Replace(text)
	}
	text = signature.ReplaceAllString(text, "$1$2[redacted]")
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > maxMessage {
		text = strings.ToValidUTF8(text[:maxMessage], "") + "…"
	}
	return text
}
