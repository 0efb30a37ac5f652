package oteltrace

import (
	"context"
	"errors"
	"log/slog"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/objstore"
)

const (
	scope  = "github.com/litefs-s3/litefs-s3" // of the spans: who made them
	prefix = "litefs_s3."                     // of attributes
)

// Tracer is a [litefss3.Tracer] that makes spans.
type Tracer struct{ tracer trace.Tracer }

var _ litefss3.Tracer = (*Tracer)(nil)

// New returns a Tracer that makes spans of the provider.
func New(provider trace.TracerProvider) *Tracer { return &Tracer{provider.Tracer(scope)} }

// Trace implements litefss3.Tracer.
func (t *Tracer) Trace(ctx context.Context, s litefss3.Span) {
	_, span := t.tracer.Start(ctx, "litefs-s3."+s.Name, trace.WithTimestamp(s.Start), trace.WithSpanKind(kind(s)))
	if span.IsRecording() {
		span.SetAttributes(attributes(s.Attrs)...)
		note(span, s.Err)
	}
	span.End(trace.WithTimestamp(s.End))
}

// kind is client for what is one request to the store.
func kind(s litefss3.Span) trace.SpanKind {
	if s.Name == "fetch" || s.Name == "upload" {
		return trace.SpanKindClient
	}
	return trace.SpanKindInternal
}

// note marks a span that did not end well. That somebody lost interest is no error.
func note(span trace.Span, err error) {
	switch {
	case err == nil:
	case errors.Is(err, context.Canceled):
		span.SetAttributes(attribute.Bool(prefix+"cancelled", true))
	default:
		span.SetAttributes(attribute.String("error.type", kindOf(err)))
		span.SetStatus(codes.Error, err.Error())
	}
}

// kindOf is an error in a word, of which there are few.
func kindOf(err error) string {
	for _, known := range []error{objstore.ErrNotFound, objstore.ErrExists, objstore.ErrChanged, objstore.ErrAccess, objstore.ErrTemporary} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return "_OTHER"
}

func attributes(attrs []slog.Attr) []attribute.KeyValue {
	all := make([]attribute.KeyValue, 0, len(attrs))
	for _, a := range attrs {
		all = append(all, keyValue(prefix+a.Key, a.Value.Resolve()))
	}
	return all
}

func keyValue(key string, v slog.Value) attribute.KeyValue {
	switch v.Kind() {
	case slog.KindBool:
		return attribute.Bool(key, v.Bool())
	case slog.KindInt64:
		return attribute.Int64(key, v.Int64())
	case slog.KindFloat64:
		return attribute.Float64(key, v.Float64())
	}
	return attribute.String(key, v.String())
}
