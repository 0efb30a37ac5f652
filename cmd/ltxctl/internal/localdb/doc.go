// Package localdb does with database files on the local disk what takes SQLite: a copy of one that is in use, and the check of one
// that nobody uses.
//
//	image, err := localdb.Copy(ctx, "/var/lib/app.db", "", nil) // a moment of it, whatever others do with it
//	verdict, err := localdb.Check(ctx, image.Path())            // "ok", or what is wrong
//	err = image.Close()
//
// [Copy] holds a read transaction from its first page to its last. In WAL mode that keeps nobody from writing; with a rollback
// journal others have to wait with their commits until it ends, as for any reader. The database itself is not changed: not even its
// write-ahead log is checkpointed, on which a Litestream that runs beside it relies.
package localdb
