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
// has to wait nevertheless, up to a quarter of the cache, and shrinks when the cache loses what was fetched before it is read.
//
// # Who waits, who cancels
//
// A fetch runs as long as somebody wants it: a reader that waits for it, or one that asked for it ahead and whose
// statement has not been interrupted. When the last one is gone the request is cancelled. What goes wrong with a fetch that
// was asked for ahead is nobody's trouble: whoever needs a page of it fetches again.
package pages
