// Package bulk copies many pages of a View to where they belong in a database file, as fast as the bucket and the disk allow:
// large ranges, several at once, each page from the file that holds its newest version, and no byte twice.
//
//	src := bulk.Source{Store: store, Mover: tracker}
//	stats, err := bulk.Copy(ctx, src, view, bulk.All(view), file, bulk.Options{})
//
// # The picture
//
// A View knows for every page in which file and at which byte its newest version lies. Pages that lie near each other in a file
// become one range. What lies between them and is not wanted, because a newer file has superseded it, is a hole: short holes are
// fetched along, for a request costs as much as many bytes. A few workers each fetch a range, decode its pages, and write them in
// runs of neighbours. What opening the replica has brought already, small files whole, is not fetched again: see [Held].
//
// Files of low levels come first. They are the ones that compaction removes soon, and what is left lives for hours.
//
// When a file is gone all the same, the ranges under way end, the [Mover] finds the same pages in other files, and what is
// still missing is planned anew. What was written stays. When no other files hold the View any more the error is
// index.ErrViewExpired.
//
// Memory is bounded whatever the size of the database: 8 ranges of 4 MiB, 24 short ones, 8 runs of decoded pages, what is held, and one
// bit for each page.
//
// It never writes a byte that it did not decode as the page asked for, and it says nothing of pages that were not asked for. After an
// error any subset of the pages may have been written.
package bulk
