package oteltrace_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/embedded"
	"go.opentelemetry.io/otel/trace/noop"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/integration/primary"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
	"github.com/litefs-s3/litefs-s3/oteltrace"
)

// recorder is a provider that keeps the spans that have ended.
type recorder struct {
	embedded.TracerProvider

	mu    sync.Mutex
	spans []*recorded // guarded by mu
}

func (r *recorder) Tracer(string, ...trace.TracerOption) trace.Tracer { return tracer{r: r} }

type tracer struct {
	embedded.Tracer
	r *recorder
}

// recorded is a span of a test.
type recorded struct {
	noop.Span
	r          *recorder
	name       string
	parent     trace.SpanContext
	start, end time.Time
	attrs      map[attribute.Key]attribute.Value
	code       codes.Code
}

func (t tracer) Start(ctx context.Context, name string, opts ...trace.SpanStartOption) (context.Context, trace.Span) {
	c := trace.NewSpanStartConfig(opts...)
	s := &recorded{r: t.r, name: name, parent: trace.SpanContextFromContext(ctx), start: c.Timestamp(), attrs: map[attribute.Key]attribute.Value{}}
	return trace.ContextWithSpan(ctx, s), s
}

func (s *recorded) IsRecording() bool { return true }
func (s *recorded) SetStatus(c codes.Code, _ string) {
	s.code = c
}
func (s *recorded) SetAttributes(attrs ...attribute.KeyValue) {
	for _, a := range attrs {
		s.attrs[a.Key] = a.Value
	}
}

func (s *recorded) End(opts ...trace.SpanEndOption) {
	c := trace.NewSpanEndConfig(opts...)
	s.end = c.Timestamp()
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	s.r.spans = append(s.r.spans, s)
}

// named returns the spans with a name.
func (r *recorder) named(name string) (found []*recorded) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.spans {
		if s.name == "litefs-s3."+name {
			found = append(found, s)
		}
	}
	return found
}

// underway is a context with a span, as that of a request that a program serves.
func underway(ctx context.Context) (context.Context, trace.SpanContext) {
	parent := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}})
	return trace.ContextWithSpanContext(ctx, parent), parent
}

func TestTracer_Reading(t *testing.T) {
	t.Parallel()
	p := primary.New(t, new(memstore.Store), primary.Options{})
	p.Exec(`CREATE TABLE a(id INTEGER PRIMARY KEY, x)`)
	p.Exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 1500) INSERT INTO a(x) SELECT hex(randomblob(900)) FROM n`)
	p.Sync()
	r := new(recorder)
	db, err := litefss3.OpenDB(litefss3.Config{
		Store: p.Store, ReplicaURL: "mem:" + t.Name(), PollInterval: 2 * time.Millisecond, Tracer: oteltrace.New(r),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, parent := underway(t.Context())
	var n int
	if err := db.QueryRowContext(ctx, "SELECT sum(length(x)) FROM a").Scan(&n); err != nil || n != 1500*1800 {
		t.Errorf("%d, %v", n, err)
	}
	for len(r.named("poll")) == 0 {
		time.Sleep(2 * time.Millisecond)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if open := r.named("open"); len(open) != 1 || open[0].attrs["litefs_s3.txid"].AsString() == "" || open[0].end.Before(open[0].start) {
		t.Errorf("spans of opening: %+v", open)
	}
	checkFetches(t, r.named("fetch"), parent)
}

// checkFetches looks at the spans of one scan: all are the query's, some were made ahead, and together they bring the table.
func checkFetches(t *testing.T, fetches []*recorded, parent trace.SpanContext) {
	t.Helper()
	var bytes, ahead int64
	for _, f := range fetches {
		if !f.parent.Equal(parent) {
			t.Errorf("the fetch of %v has the parent %v, want %v", f.attrs, f.parent, parent)
		}
		if f.start.IsZero() || f.end.Before(f.start) || f.attrs["litefs_s3.key"].AsString() == "" || f.code != codes.Unset {
			t.Errorf("fetch %+v", f)
		}
		bytes += f.attrs["litefs_s3.bytes"].AsInt64()
		if f.attrs["litefs_s3.ahead"].AsBool() {
			ahead++
		}
	}
	if bytes < 1_000_000 || ahead == 0 || ahead == int64(len(fetches)) {
		t.Errorf("%d fetches, %d of them ahead, %d bytes", len(fetches), ahead, bytes)
	}
}

func TestTracer_Writing(t *testing.T) {
	t.Parallel()
	r := new(recorder)
	p := primary.New(t, new(memstore.Store), primary.Options{}) // so that the first compaction finds something
	p.Exec(`CREATE TABLE b(x)`)
	p.Sync()
	db, err := litefss3.OpenDB(litefss3.Config{
		Store: p.Store, ReplicaURL: "mem:" + t.Name(), Write: true, BufferPath: filepath.Join(t.TempDir(), "log"),
		SyncInterval: time.Hour, Compaction: litefss3.CompactionOn, Tracer: oteltrace.New(r),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{"CREATE TABLE a(x)", "PRAGMA litestream_sync"} {
		if _, err := db.Exec(q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	for len(r.named("compaction")) == 0 {
		time.Sleep(10 * time.Millisecond)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	up := r.named("upload")
	if len(up) != 1 || up[0].attrs["litefs_s3.bytes"].AsInt64() < 1 || up[0].attrs["litefs_s3.key"].AsString() == "" {
		t.Errorf("spans of uploads: %+v", up)
	}
}

// How something ended is told; that somebody lost interest is no error.
func TestTracer_Errors(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		code codes.Code
		kind string
	}{
		"well":      {nil, codes.Unset, ""},
		"cancelled": {context.Canceled, codes.Unset, ""},
		"denied":    {&objstore.OpError{Op: "get", Key: "k", Err: objstore.ErrAccess}, codes.Error, "access denied"},
		"other":     {errors.New("other"), codes.Error, "_OTHER"},
	} {
		r := new(recorder)
		oteltrace.New(r).Trace(t.Context(), litefss3.Span{Name: "fetch", Err: c.err, Attrs: []slog.Attr{slog.Float64("share", 0.5)}})
		s := r.named("fetch")[0]
		if s.code != c.code || s.attrs["error.type"].AsString() != c.kind || s.attrs["litefs_s3.share"].AsFloat64() != 0.5 {
			t.Errorf("%s: %+v", name, s)
		}
	}
}
