// Package commitlog keeps transactions that are committed but not in the bucket yet: a directory with append-only segment files.
//
//	log, found, err := commitlog.Open(dir, commitlog.Options{Replica: name})   // locks, replays: found.Pending
//	tx, err := log.Append(commit, pageSize, pages)                             // durable when it returns
//	err = tx.ReadPage(slot, pgno, buf)                                         // for as long as somebody has tx
//	err = log.Seal(Seal{TXID: 43, Seq: tx.Seq, …})                             // "all up to tx will be TXID 43"
//	err = log.Confirm(Base{TXID: 43, …}, tx.Seq)                               // it is in the bucket: trim
//
// # What is in it
//
// A segment is a sequence of records. Each has a header with its own checksum, the number of the log, and the checksum of the
// record before it, so that neither a torn write nor what was in the blocks of the disk before can pass for a record:
//
//	begin    the first of each segment: whose log it is, where the bucket was, and the seal in force
//	tx       one transaction: its size in pages, its pages, each with a checksum
//	seal     the transactions up to here are to be this TXID, in a file of this digest
//	confirm  that TXID is in the bucket; nothing up to here is needed any more
//
// The seal is written before the first put of a file and binds a process that starts after a crash: what it sends
// under that TXID are the same transactions, and an object that it finds there is its own when the digest says so.
//
// # What can happen to it
//
// A record that is torn at the end is cut off: its commit never returned. One that is damaged with good ones behind it means that
// commits are lost which did return; that is a DamagedError, and nothing is cut. A log whose bucket has moved on without it is set
// aside: its directory gets another name, and [Read] gives its transactions. Nothing here ever deletes a
// transaction that was not confirmed.
//
// One process at a time has a log, by a lock on the file "lock" in the directory. Segments that are confirmed are removed; who still
// has transactions from them can read on.
package commitlog
