// Package oteltrace hands what the engine does to OpenTelemetry as spans.
//
//	litefss3.Register("app.db", litefss3.Config{
//		ReplicaURL: "s3://bucket/app",
//		Tracer:     oteltrace.New(otel.GetTracerProvider()),
//	})
//
// Spans are named litefs-s3.open, .fetch, .poll, .upload and .compaction; [litefss3.Span] lists what each one carries. Attributes have the
// prefix litefs_s3. A query whose context has a span, as database/sql hands it on, is the parent of the fetches it was the first to
// cause, also of those that were made ahead. Polls, uploads and compactions have no parent.
//
// A span is made when what it stands for has ended, with the times at which it began and ended; there is nothing to leak. Programs that do not
// import this package do not link OpenTelemetry. With a sampler that looks at the parent, a follower's polls are one root span a second: give
// them a low rate, or wrap the Tracer and leave them out.
package oteltrace
