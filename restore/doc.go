// Package restore makes an ordinary SQLite file of a View, and keeps one up to date.
//
//	held := new(bulk.Held) // what opening brings need not be fetched again
//	tracker, err := index.Open(ctx, store, index.Options{PollInterval: -1, OnLoad: held.Keep})
//	src := bulk.Source{Store: store, Mover: tracker, Held: held}
//	report, err := restore.File(ctx, src, tracker.View(), "/var/lib/app.db", restore.Options{})
//
// # A restore
//
// The database is put together in a temporary file beside the target, <path>.restoring, flushed to disk, and only then given the
// target's name. On Linux every piece of it goes to disk as soon as it is complete, so that the flush has little left to do. Killed at any instant it leaves at the target what was there before, or the
// whole database. What it leaves beside, the next restore to the same path removes.
//
// It refuses to write over anything: a database at the path, and also a -wal, -shm or -journal beside it, for
// SQLite would lay what is in those over the database just restored. [Replace] puts the new file, complete on disk, in the place of the old one in one step.
// Only where a -wal, -shm or -journal is left beside the old one it removes them before: the old database first, so that it never stands there
// without its journal. Killed in that moment nothing is at the path, and the next restore puts it there. A database that another program has
// open is not replaced.
//
// The file is to the byte what the primary's was at that moment: what an unmodified litestream restore makes of it. Each page is checked
// to be the one asked for; but the format has no checksum of a single page, so whoever must be sure runs PRAGMA
// integrity_check on the file, or package verify on the replica.
//
// # Following
//
// [Follow] restores, and then applies what the writer adds, for as long as it runs:
//
//	err := restore.Follow(ctx, src, tracker, "/var/lib/app.db", restore.FollowOptions{})
//
// To the file it behaves as a SQLite writer does. It takes SQLite's locks, keeps the old content of what it overwrites in
// SQLite's own rollback journal, and moves the change counter. So other programs may read the file with SQLite meanwhile and see
// one moment of the database in each transaction; and when it is killed between two writes, the next program that opens the
// file, SQLite or Follow, finds the journal and is back at the moment before. It needs no help from us: that is why it is not a journal of our own.
//
// For that, page 1 says "rollback journal" instead of "write-ahead log", and has a change counter of its own (bytes 18 to 19, 24 to
// 31 and 92 to 95). All else is the primary's.
//
// Beside the file lies <path>-follow: which TXID the file is at, and which replica that was. After a restart only what has changed since is
// fetched, if the replica still tells; else everything is, compared, and what differs applied in the same way. A
// file that somebody else has written to is not touched any more: [ErrNotOurs].
//
// Readers that stay in a transaction hold the next update up, as they would a writer; the file stays at its moment until they are
// done, and the log says so. Where files cannot be locked as SQLite does (js, wasip1, some of the BSDs) Follow refuses.
//
// What it does not do: it does not run PRAGMA integrity_check, for that takes SQLite; whoever calls it can. And while all pages have to be
// compared, after a restart when the replica does not tell what has changed, it takes as much room on disk again as the database.
package restore
