// Package index answers one question: at TXID T, where is page N?
//
// A replica is a set of immutable LTX files. Say it holds
//
//	L9  1-4   pages 1 2 3     a snapshot: every page
//	L0  5-5   pages   2       commit size 3
//	L0  6-6   pages 1     4   commit size 4
//
// The [View] at TXID 5 finds page 2 in file 5-5 and pages 1 and 3 in the snapshot. At TXID 6 page 4 appears. The View
// at 5 does not change: a reader that holds it keeps reading the database as of 5.
//
// From the bottom up:
//
//   - [File] is a name in the bucket, [Catalog] one listing of them.
//   - A plan is the cheapest contiguous chain of files that gives the database at a TXID.
//   - A segment is the page table of one file, decoded from the index at the end of the file as a stream: two bytes a
//     page for a file that holds every page, six for others, because frames lie one after another and so sizes give
//     offsets.
//   - A table stacks the segments of a plan and answers lookups: the newest segment that has the page wins, and a
//     segment that made the database smaller hides everything older above its size.
//   - A [View] is one TXID's table, published as a whole. Looking a page up does no I/O and takes no lock.
//   - The [Tracker] opens, follows, goes back in time, and moves Views to other files when theirs disappear. When nobody needs
//     news it sleeps, and [Tracker.Rouse] wakes it.
//
// A page is identified by its [Page.Version]: the TXID as of which its content is known. Compaction copies a version to
// another file, it does not make a new one, so a Version is a key that caches may keep for ever (within one history of the
// replica, see [View.History]).
//
// The format of LTX files is that of github.com/superfly/ltx, v0.5.3. Bytes from a bucket are untrusted: everything
// decoded here is bounds-checked, and what cannot be right is [ErrCorrupt].
package index
