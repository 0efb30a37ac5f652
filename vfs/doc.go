// Package vfs is the SQLite side of litefs-s3: files, locks, pragmas and error codes, for github.com/ncruces/go-sqlite3.
//
// SQLite believes that it reads a file. What it gets is a View, an immutable picture of the database at one TXID:
//
//   - When SQLite takes its SHARED lock the file takes the newest View (or the one of the time that was set) and keeps it
//     until the lock is given back. Whatever polls, compaction or other connections do meanwhile, size and pages are those
//     of that View.
//   - SQLite decides by 16 bytes of page 1 whether the pages it has cached are still good. Page 1 is shown with a change
//     counter made from the View's TXID, so its cache survives exactly as long as the View stays the same.
//   - Page 1 also says "rollback journal", whatever mode the primary uses: a reader of Views needs neither WAL nor locks.
//   - A page within the commit size that cannot be read is an error, never zeros. Above it is end of file.
//
// The package knows nothing of buckets. Its caller hands it a [Database] for each name that is opened:
//
//	vfs.Register("litefs-s3", func(ctx context.Context, name string, params url.Values) (vfs.Database, error) { … })
//
// # Errors
//
// SQLite knows result codes only, and the driver loses the Go error behind one as soon as it makes another call. So the cause is
// handed to [Database.Note], which logs it and shows it in litestream_status, and stays on the handle: see [Cause].
package vfs
