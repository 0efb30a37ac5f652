package s3store

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"errors"
	"fmt"
	"io"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// addMiddleware adapts the SDK's requests to stores that are not Amazon's.
func (s *Store) addMiddleware(stack *middleware.Stack) error {
	var errs []error
	if s.provider.consistencyHeader {
		errs = append(errs, stack.Build.Add(setHeader("X-Tigris-Consistent", "true"), middleware.After))
	}
	if s.cfg.RequireContentMD5 == On && stack.ID() == "DeleteObjects" {
		errs = append(errs, stack.Finalize.Insert(contentMD5, "Signing", middleware.Before))
	}
	if s.cfg.SignAcceptEncoding == Off || runsInBrowser {
		errs = append(errs, stack.Finalize.Insert(dropAcceptEncoding, "Signing", middleware.Before))
	}
	if s.cfg.SignPayload == Off {
		errs = append(errs, unsignPayload(stack))
	}
	if s.cfg.SignPayload == Off || s.cfg.Endpoint != "" {
		_, _ = stack.Finalize.Remove("addInputChecksumTrailer") // aws-chunked; it is no error if it is not there
	}
	return errors.Join(errs...)
}

// unsignPayload signs requests without their content.
func unsignPayload(stack *middleware.Stack) error {
	_ = v4.RemoveComputePayloadSHA256Middleware(stack)
	_ = v4.RemoveContentSHA256HeaderMiddleware(stack)
	return errors.Join(v4.AddUnsignedPayloadMiddleware(stack), v4.AddContentSHA256HeaderMiddleware(stack))
}

func setHeader(name, value string) middleware.BuildMiddleware {
	return middleware.BuildMiddlewareFunc("SetHeader"+name, func(
		ctx context.Context, in middleware.BuildInput, next middleware.BuildHandler,
	) (middleware.BuildOutput, middleware.Metadata, error) {
		if req, ok := in.Request.(*smithyhttp.Request); ok {
			req.Header.Set(name, value)
		}
		return next.HandleBuild(ctx, in)
	})
}

var dropAcceptEncoding = middleware.FinalizeMiddlewareFunc("DropAcceptEncoding", func(
	ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler,
) (middleware.FinalizeOutput, middleware.Metadata, error) {
	if req, ok := in.Request.(*smithyhttp.Request); ok {
		req.Header.Del("Accept-Encoding")
	}
	return next.HandleFinalize(ctx, in)
})

// contentMD5 adds the header that older servers want for a deletion of several objects.
var contentMD5 = middleware.FinalizeMiddlewareFunc("ContentMD5", func(
	ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler,
) (out middleware.FinalizeOutput, metadata middleware.Metadata, err error) {
	req, ok := in.Request.(*smithyhttp.Request)
	if ok && req.Header.Get("Content-MD5") == "" && req.IsStreamSeekable() && req.GetStream() != nil {
		sum := md5.New()
		if _, err := io.Copy(sum, req.GetStream()); err != nil {
			return out, metadata, fmt.Errorf("checksum of the request: %w", err)
		}
		if err := req.RewindStream(); err != nil {
			return out, metadata, err
		}
		req.Header.Set("Content-MD5", base64.StdEncoding.EncodeToString(sum.Sum(nil)))
	}
	return next.HandleFinalize(ctx, in)
})
