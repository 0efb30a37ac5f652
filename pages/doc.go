// Package pages turns (View, page number) into bytes.
//
// A read goes: lookup in the View, which yields the version and takes no I/O → the process's [Cache], whose key is the
// version → one range GET for the frame and its neighbours → decode → the caller's buffer. The lookup comes first because the
// version is the key: a version never changes, so nothing in the cache is ever invalidated, and a writer, a compactor or a
// traveller in time cools nothing.
//
//	cache := pages.NewCache(64 << 20)                  // one for the process
//	source := pages.NewSource(store, tracker, cache)   // one for each replica
//	reader := source.NewReader()                       // one for each connection
//	err := reader.ReadPage(ctx, view, pgno, buf)
//
// # Fetching
//
// A miss costs a round trip, and bytes on the way cost little. So a miss fetches the frames around it as well, a small file is
// taken whole, and concurrent misses of one page wait for one fetch. A reader that goes on where its last fetch ended, in
// either direction, is scanning: what lies ahead is fetched in the background. How far ahead grows each time that the scan
// has to wait nevertheless, up to a quarter of the cache, and shrinks when the cache loses what was fetched before it is read. Along the
// pointers, below, it is up to half of the cache, which the scans of one connection share.
//
// # Guesses
//
// SQLite asks for pages; what it asks for them is in the pages themselves. Interior pages say which leaves come next, in whatever files
// those lie; leaves of an index name the rows that are looked up next; a row that does not fit says where it goes on. So a page that has to
// be fetched is first looked up in the atlas, which knows what lies below the interior pages that were seen, and then a Reader
//
//   - goes along the leaves when they are read in order, with a window that grows with what was read, and at once when the first leaf was
//     the first of the b-tree (course.go, walk.go); newer files of up to 2 MiB are then fetched once and stay encoded (gather.go),
//   - takes from the index leaves that were read the rows that follow the one being looked up, finds their pages by interior pages that
//     are here, and asks for all of them at once (lookups.go),
//   - asks for the rest of a chain of overflow pages when its first page is asked for (thread.go),
//   - and asks for the roots of all b-trees when page 1 comes (prime.go).
//
// All of it is guesses about bytes that nobody has checked. Only requests depend on them: what a read returns does not. Each b-tree has an
// account (tree.go): a guess costs credit, and one that was right earns twice as much, so guessing ends where most guesses are wrong. One
// transaction may have so many bytes fetched in vain and no more: see [Source.SetReadAheadLimit]. [Stats] has the figures. Pages that
// nothing is known of are read ahead along the file, as above.
//
// # Who waits, who cancels
//
// A fetch runs as long as somebody wants it: a reader that waits for it, or one that asked for it ahead and whose
// statement has not been interrupted. When the last one is gone the request is cancelled. What goes wrong with a fetch that
// was asked for ahead is nobody's trouble: whoever needs a page of it fetches again. Requests that nobody waits for are bounded, and one of
// them that somebody begins to wait for does not stand in that line any more.
package pages
