// Package filestore keeps objects as files under one directory, in one of two layouts:
//
//   - [S3Like]: the file of key "0000/a.ltx" is <dir>/0000/a.ltx. It is what a copy of a bucket looks like.
//   - [Litestream]: the layout of Litestream's file:// replicas. The file of key "0009/a.ltx" is <dir>/ltx/9/a.ltx.
//     Keys outside the level directories, "lock.json" for one, are files under <dir> as in the other layout.
//
// Callers see the keys of S3 in both. [Open] finds out which layout a directory has, [Create] makes one:
//
//	store, err := filestore.Open("/backup/app")
//	fmt.Println(store.Layout()) // "Litestream"
//
// A Put appears whole or not at all, survives a power failure once it has returned, and leaves no file behind when it
// fails: it writes a temporary file, syncs it, moves it into place and syncs the directory. Only-create puts use a
// hard link, so they hold against every other program. Replacing under a condition and deleting hold against other
// processes that use this package, by a lock on the file .litefs-s3.lock in dir (on Unix and Windows; elsewhere within
// the process only).
//
// An ETag is made of the modification time, size and inode of a file, not of its content: to ask for it costs no
// read. What this package replaces always gets another one. Where a Timestamp is given to Put it becomes the
// modification time, as Litestream has it, so listings say when the content was made and not when it was stored.
package filestore
