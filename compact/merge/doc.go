// Package merge makes one LTX file out of several, in bounded memory and in few requests, and makes sure that it is right
// before anybody may rely on it. Which files are merged, and when, is the business of package compact.
//
//	f, err := merge.Build(ctx, store, inputs, merge.Target{Level: 1, Min: 1, Max: 30}, merge.Options{})
//	defer f.Close()
//	published, err := merge.Publish(ctx, store, f)   // uploaded, read back, checked
//
// # How it works
//
// Frames of an LTX file ascend by page, and so do the records of its index. A merge reads the indexes of all inputs side by
// side, a piece at a time, and takes for each page the newest input that has it. The winners are gathered
// into batches of a few megabytes; a batch knows which ranges of which inputs it needs and fetches them at once, each with
// one request that is read to its end, so no connection ever waits for its turn. While one batch is being
// written the next ones are on their way.
//
//	indexes ─→ winners ─→ batches ─→ fetch, decode (several at once) ─→ checksum, write (in order) ─→ temporary file
//
// The bytes of a frame are copied as they are. They are decoded all the same, because the checksum of a file is one over
// decoded pages, and because what does not decode must not be passed on. Frames of the encoding of ltx v0.5.1
// and earlier are encoded anew.
//
// Small inputs, of which there may be thousands, are fetched whole and kept on disk beyond 16 MiB.
//
// # What is refused
//
// An input whose index does not fit its frames; with a page out of order, above the commit size, or the lock page; that
// begins with transaction 1 and lacks a page; that grew the database and lacks one of the new pages; of another page size; or,
// when it was fetched whole, with a wrong checksum. The error names file and page and is an index.ErrCorrupt.
package merge
