// Package vfs is the SQLite side of litefs-s3: files, locks, pragmas and error codes, for github.com/ncruces/go-sqlite3.
//
// SQLite believes that it reads a file. What it gets is a [Snapshot]: a View, which is an immutable picture of the database at one TXID,
// and above it what this process has committed and not uploaded yet:
//
//   - When SQLite takes its SHARED lock the file takes the newest Snapshot (or the View of the time that was set) and keeps it
//     until the lock is given back. Whatever polls, compaction or other connections do meanwhile, size and pages are those
//     of that Snapshot.
//   - SQLite decides by 16 bytes of page 1 whether the pages it has cached are still good. Page 1 is shown with a change
//     counter that is the Snapshot's, so its cache survives exactly as long as the content stays the same.
//   - Page 1 also says "rollback journal", whatever mode the primary uses: a reader of Snapshots needs neither WAL nor locks.
//   - A page within the commit size that cannot be read is an error, never zeros. Above it is end of file.
//
// # Writing
//
// RESERVED begins a [Transaction] on the Snapshot that was read. SQLite's pages go there, and its rollback journal to a [journal] that nobody
// else sees. FCNTL_SYNC is the commit; but SQLite says the same when it has put old pages back, and tells the two apart by nothing
// but page 1, whose change counter only a commit changes. What it does after that (cutting the file off, deleting the journal) repeats what the commit has said.
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
