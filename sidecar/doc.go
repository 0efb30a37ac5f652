// Package sidecar keeps, beside the files of a replica, one object that makes opening it fast:
//
//	litefs-s3/sidecar
//	    the page tables of the files that the newest state was read from     so they need not be fetched, file by file
//	    the upper parts of all b-trees, as the frames that those files hold    so a lookup needs the leaf alone
//	    the pages that a process like ours reads first                         so they can be fetched at once
//
// It is read while the replica is being listed, so opening takes one wave of requests whatever the size and the number of files; files
// that came later are read as ever.
//
//	report, err := sidecar.Update(ctx, store, sidecar.Options{})     // after compaction
//
//	var side sidecar.Sidecar                                         // when opening
//	tracker, err := index.Open(ctx, store, index.Options{Layouts: func(ctx context.Context) []*index.Layout {
//		side, _ = sidecar.Read(ctx, store)                          // the zero value is of no use, and does no harm
//		return side.Layouts
//	}})
//	source.Seed(tracker.View(), side.Blobs)
//	source.Prefetch(tracker.View(), side.Profile, budget)
//
// # Why it cannot make a read wrong
//
// A sidecar is never asked what the replica holds: the listing is. What it says is always about one file, and is used only
// when the listing shows that very file, by name, size and ETag. LTX files never change, so what was true of these bytes is true. So
//
//   - a sidecar that is old is right about the files that are still there, and says nothing of others: they are read;
//   - files that were merged and are gone are not in the listing, so nothing that is said of them is used; nor is what is said of a
//     replica that was replaced, or of one that a bucket was copied from: ETags or sizes differ;
//   - an opening of the past, or of files that the sidecar does not know, takes what fits and reads the rest;
//   - where a store has no ETags nothing is used;
//   - damage is found by a SHA-256 over all of it, before anything else is looked at;
//   - a page table is held against the length of its file: the frames, which follow each other from the header to the
//     index, and the index, whose length follows from them, must make up exactly the bytes that the listing shows;
//   - each frame says which page it is, and how long it is, and both are checked whenever one is decoded, be it fetched or packed;
//   - what writes a sidecar opens the replica from its files alone, and decodes what it is about to store: an error is not handed down.
//
// What is left is a sidecar made on purpose, with the right sum, and tables that are wrong in a way that makes up the right length. Where
// it sends a reader to a wrong place, the frame there says so: the reader forgets what was borrowed and opens the replica from its files
// ([index.Tracker.Distrust]). It could leave out a page of a newer file, or pack content that never was. Nothing short of reading
// the files shows that; but whoever may write this object may write LTX files, and needs no sidecar to change the database. Who does not
// want to rely on it turns it off. A process that lives for a minute compares the tables it has borrowed with the files in the background
// ([index.Tracker.Verify]), and one that writes does so before it begins.
//
// # Size
//
// About two bytes for each page of the database, at most 4 MiB of upper pages (from the top level down: what is left out is
// fetched by those who need it), and a few bytes for each page of the profile. Together at most 16 MiB: page tables that find
// no room are left out, the largest first.
package sidecar
