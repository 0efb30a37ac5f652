// Package hydrate keeps a local copy of a replica: a database file in which pages appear as they are fetched, until all are
// there and it is an ordinary SQLite file.
//
//	c, err := hydrate.Open(ctx, store, name, tracker.View(), tracker, hydrate.Options{Path: "/var/lib/app.db"})
//	wg.Go(func() { c.Run(ctx) })                     // fetches, writes, follows
//	if !c.ReadPage(view, pgno, version, buf) {       // local, or not
//		… fetch it from the bucket …
//		c.Offer(view, pgno, version, page)           // and leave it here
//	}
//	c.Advance(next, blobs)                           // the head has moved
//	err = c.Close()
//
// # The picture
//
// A copy stands for one View at a time. In memory that is a picture: the View, and the set of pages that are present. The
// content of a present page is that page as of the picture's View, so the copy answers for page 7 at version v exactly when
// 7 is present and the picture's View knows page 7 by the same version. Readers on an older View, or travelling in time, get
// what has not changed since, and nothing else (invariant I6).
//
// Nobody waits. A reader looks at the picture, reads the file, and looks again: if the page left the picture meanwhile, the
// bytes do not count. One goroutine, the owner, does all the writing, and never touches the bytes of a page that
// the picture calls present: a page that changes leaves the set first, then the picture moves to the new View, then the new
// content is written, then the page is back.
//
// # The state file
//
// Beside the database lies <path>-hydration: which pages are present, as of which TXID, of which replica. It is a snapshot,
// replaced as a whole, with a journal behind it: pages that are no longer what the snapshot says. Two rules make it true after
// a crash at any instant (I7):
//
//   - a page is in a snapshot only when its content was flushed to disk before the snapshot was written;
//   - a page that the file on disk calls present is not overwritten, punched out or cut off before a record in the
//     journal, or another snapshot, that no longer does so is on disk.
//
// So what the state file says may be less than what is there, never more. After a restart the replica's history tells
// which pages have changed since the saved TXID; only those, and what was absent, are fetched.
//
// # What fills it
//
// Pages that queries fetch ([Copy.Offer]), pages that come with new files ([Copy.Advance]), and the walk, which fetches
// everything else in large ranges: the upper parts of the b-trees first, then file by file, each page from the file that
// holds its newest version. An error is tried again until it works; a disk that is full makes the copy stand still,
// not wrong, until there is room. Without the walk ([Lazy]) it is a cache that survives restarts, of bounded size if wanted.
//
// What it does not do: it never answers for a page that it does not have, and it never blocks. While a copy is not complete
// the file is not a database: unfinished pages read as zeros. Use it with other programs only when it is complete and closed.
package hydrate
