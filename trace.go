package litefss3

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/litefs-s3/litefs-s3/compact"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/pages"
)

// Tracer is told of what took time: see [Config.Tracer]. Package oteltrace has one for OpenTelemetry.
type Tracer interface {
	// Trace is called when something has ended. ctx is that of whoever caused it: a query, where there is one. It must return
	// soon, is called from many goroutines at once, and may keep s.
	Trace(ctx context.Context, s Span)
}

// Span is something that took time, and has ended.
//
//	open        replica, txid, files           of a replica that was not open in this process
//	fetch       replica, key, offset, bytes, ahead   pages of one file; ahead when nobody waited for it when it began
//	poll        replica, txid                  a look for news
//	upload      replica, key, bytes            one put of committed transactions, tries that failed included
//	compaction  replica, files, bytes          a run that planned something
//
// A fetch serves every query that waits for one of its pages; ctx is that of the one that was first.
type Span struct {
	Name       string
	Start, End time.Time
	Attrs      []slog.Attr // the keys are those of log lines
	Err        error       // nil when all was well
}

// trace tells the tracer, if there is one. attrs need not hold the replica.
func (d *database) trace(ctx context.Context, name string, start time.Time, err error, attrs ...slog.Attr) {
	if d.tracer == nil {
		return
	}
	attrs = append(attrs, slog.String("replica", d.name))
	d.tracer.Trace(ctx, Span{Name: name, Start: start, End: time.Now(), Attrs: attrs, Err: err})
}

// fetching is the part of the store that pages are fetched from.
func (d *database) fetching() objstore.RangeReader {
	if d.tracer == nil {
		return d.store
	}
	return tracedReads{d.store, d}
}

// tracedReads makes a span of each range that is read.
type tracedReads struct {
	objstore.RangeReader
	db *database
}

func (r tracedReads) ReadAt(ctx context.Context, ref objstore.Ref, p []byte, off int64) error {
	start := time.Now()
	err := r.RangeReader.ReadAt(ctx, ref, p, off)
	r.db.trace(ctx, "fetch", start, err, slog.String("key", ref.Key), slog.Int64("offset", off), slog.Int("bytes", len(p)),
		slog.Bool("ahead", pages.Ahead(ctx)))
	return err
}

// uploading is the store that a writer puts files into.
func (d *database) uploading(store objstore.Store) objstore.Store {
	if d.tracer == nil {
		return store
	}
	return tracedPuts{store, d}
}

// tracedPuts makes a span of each put of an LTX file. Others are small: the lease, and what is asked of a store before it is trusted.
type tracedPuts struct {
	objstore.Store
	db *database
}

func (s tracedPuts) Put(ctx context.Context, key string, body io.ReadSeeker, opts objstore.PutOptions) (string, error) {
	if !strings.HasSuffix(key, ".ltx") {
		return s.Store.Put(ctx, key, body, opts)
	}
	start := time.Now()
	etag, err := s.Store.Put(ctx, key, body, opts)
	var size int64
	if err == nil {
		size, _ = body.Seek(0, io.SeekEnd) // its error says nothing of the object, which is stored
	}
	s.db.trace(ctx, "upload", start, err, slog.String("key", key), slog.Int64("bytes", size))
	return etag, err
}

// polled is told of each poll.
func (d *database) polled(ctx context.Context, began time.Time, err error) {
	d.polls.Add(1)
	if err != nil {
		d.pollsFailed.Add(1)
	}
	if t := d.tracker(); t != nil {
		d.trace(ctx, "poll", began, err, slog.String("txid", t.View().TXID.String()))
	}
}

// compactionRan is told of each run of the background compaction.
func (d *database) compactionRan(ctx context.Context, r compact.Run) {
	d.compaction.note(r)
	var bytes int64
	if r.Report != nil {
		for _, m := range r.Report.Made {
			bytes += m.Bytes
		}
		d.trace(ctx, "compaction", r.Began, r.Err, slog.Int("files", len(r.Report.Made)), slog.Int64("bytes", bytes))
		return
	}
	d.trace(ctx, "compaction", r.Began, r.Err)
}
