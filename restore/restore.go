package restore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/litefs-s3/litefs-s3/bulk"
	"github.com/litefs-s3/litefs-s3/index"
)

// maxRestarts is how often a restore of the newest state begins again because its View has expired.
const maxRestarts = 5

// File makes the database of v the file at path.
func File(ctx context.Context, src bulk.Source, v *index.View, path string, opts Options) (Report, error) {
	return restoreTo(ctx, src, v, path, opts, nil)
}

// restoreTo is File; finish, when not nil, is the last to change the file before it gets its name.
func restoreTo(ctx context.Context, src bulk.Source, v *index.View, path string, opts Options, finish func(*os.File, *index.View) error) (_ Report, err error) {
	opts = opts.withDefaults()
	begin := time.Now()
	t, err := openTarget(path, opts.Existing, opts.faults)
	if err != nil {
		return Report{}, err
	}
	defer func() {
		if cerr := t.close(); err == nil && cerr != nil {
			err = fmt.Errorf("restore to %s: %w", t.path, cerr)
		}
	}()
	r := Report{Path: t.path}
	if v, err = fill(ctx, src, v, t.file, opts, &r); err != nil {
		return r, fmt.Errorf("restore to %s: %w", t.path, err)
	}
	if finish != nil {
		if err := finish(t.file, v); err != nil {
			return r, fmt.Errorf("restore to %s: %w", t.path, err)
		}
	}
	if err := ctx.Err(); err != nil {
		return r, err
	}
	if err := t.publish(); err != nil {
		return r, err
	}
	r.TXID, r.Time, r.PageSize, r.Pages = v.TXID, v.Time, v.PageSize, v.Commit
	r.Bytes, r.Took = sizeOf(v), time.Since(begin)
	opts.Log.LogAttrs(ctx, slog.LevelInfo, "database restored", slog.String("path", t.path), slog.String("txid", v.TXID.String()),
		slog.Int64("bytes", r.Bytes), slog.Int64("fetched", r.Fetched), slog.Duration("took", r.Took))
	return r, nil
}

// fill puts the pages of v into the file, or those of a newer View when v expires and that will do. It returns the View that
// the file holds.
func fill(ctx context.Context, src bulk.Source, v *index.View, f *os.File, opts Options, r *Report) (*index.View, error) {
	for {
		err := errors.Join(f.Truncate(0), f.Truncate(sizeOf(v)))
		if err != nil {
			return nil, err
		}
		stats, err := bulk.Copy(ctx, src, v, bulk.All(v), newEarly(f, sizeOf(v)), bulk.Options{Concurrency: opts.Concurrency, OnProgress: opts.OnProgress})
		r.Fetched += stats.Bytes
		r.Requests += stats.Requests
		r.Rehomed += stats.Rehomed
		if !errors.Is(err, index.ErrViewExpired) || opts.Newer == nil || r.Restarts == maxRestarts {
			return v, err
		}
		r.Restarts++
		opts.Log.LogAttrs(ctx, slog.LevelWarn, "view expired while it was restored; beginning again at the head", slog.Any("err", err))
		if v, err = opts.Newer(ctx); err != nil {
			return nil, err
		}
	}
}

// sizeOf is the size of the database in bytes.
func sizeOf(v *index.View) int64 { return bulk.Offset(v.Commit, v.PageSize) + int64(v.PageSize) }
