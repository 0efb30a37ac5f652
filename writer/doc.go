// Package writer is the writing side of a replica: transactions are committed to a log on the local disk, and once a second what is in the
// log becomes the next LTX file in the bucket.
//
//	w, err := writer.Open(ctx, store, tracker, writer.Options{Replica: name, LogPath: dir, OpenReplica: open})
//	wg.Go(func() { w.Run(ctx) })               // uploads each second, renews the lease
//	err = w.Acquire(ctx)                       // become the writer; LeaseHeldError says who is
//
//	snap := w.Snapshot()                       // SHARED: the newest committed state
//	ok, err := snap.ReadPage(pgno, buf)        // not uploaded yet; else read snap.Base() as any View
//	tx, err := w.Begin(ctx, snap)              // RESERVED: ErrBusy, ErrStale, ErrReadOnly …
//	err = tx.WritePage(pgno, data)
//	snap, err = tx.Commit(ctx, commit)         // SQLite's commit point
//
//	err = w.Close(ctx)                         // uploads; UnsyncedError says what is left, and where
//
// # The picture
//
// A [Snapshot] is a View of the bucket and an overlay above it: for each page that is committed and not in the bucket, where
// its newest version lies in the log. The overlay is a tree that shares what two Snapshots have in common, so a commit costs what it
// wrote, and a reader keeps its Snapshot for as long as it likes. A commit appends one record to the log, and publishes a
// new Snapshot by a swap of one pointer; an upload publishes one with a newer View and less above it, which is the same content.
// Nobody waits for anybody: readers take no lock, and neither a reader nor a commit waits for an upload.
//
// # An upload
//
// The overlay at some moment is the batch: each page's newest version once, ascending. It is encoded to memory, or to a file when it is
// large, decoded again and compared page by page, and its digest is sealed in the log: from now on this TXID stands for these commits, also
// after a crash. Then a create-only put, and a look at what the bucket has. The object that is there decides: ours is success,
// whatever the answer to the put was; another one is a [ConflictError]; none means that it is tried again with the same bytes. Only
// then is the log trimmed, and only then does the next TXID begin.
//
// # What is promised
//
//   - A commit that returned survives the process, and with [Local] the machine; it reaches the bucket once, whole and in order, now or
//     when the log is opened again (I8, I9).
//   - Two writers never both own a TXID (I10). The lease, package lease, makes that race rare; the put decides it. The loser
//     takes no more commits until Acquire is called again, and keeps its own in a log that was set aside: see [ReadAside].
//   - Uploads that fail can be seen ([Writer.Err], [Writer.Status]), are tried for ever, and push back at Options.MaxPending (I11).
//   - What would not restore is not uploaded (I12).
//
// Two things follow from there being one log record for each commit, synced on its own: commits of several connections do not share
// a sync of the disk, for SQLite lets one transaction at a time come that far; with [Remote] they do share an upload. And a commit is
// visible to others of the process as soon as it is in the log, with Remote too: it may not be in the bucket yet, and its own
// Commit may still fail with [ErrNotUploaded] although it stands.
//
// # What it leaves to its caller
//
// Page 1 is committed as SQLite writes it, but with bytes 18 and 19 as they are in the bucket, and its checksum if it has one (reserved
// bytes: 8). The caller shows [Snapshot.Counter] in it to SQLite, and nobody but the caller reads pages of a View. A transaction over several
// databases is one commit in each; there is no atomicity between them.
package writer
