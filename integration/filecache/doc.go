// Package filecache makes a costly file once per machine and user and keeps it.
//
// The real servers take minutes to build, the large sample databases about a minute to fill. Several test binaries run at
// once and want the same file, so the first one makes it while the others wait:
//
//	path, err := filecache.File(ctx, "samples/v1/posts=180000.db", func(ctx context.Context, tmp string) error {
//		return build(ctx, tmp)
//	})
//
// The name must say everything that the content depends on: a file under a name that exists is never made again.
// Files lie in [Dir] and may be deleted at any time when nothing uses them.
package filecache
