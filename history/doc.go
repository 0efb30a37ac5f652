// Package history lists the transactions of a replica, newest first.
//
//	for tx, err := range history.All(ctx, store, timeline, history.Window{Since: yesterday, Limit: 100}) { … }
//
// A transaction here is a moment that can be opened, and the file that ends with it: a single commit of level 0 while that is kept, and
// merged ones further back, of which only the last TXID can still be opened. A [Transaction] says of which TXIDs it is made.
//
// Each takes the header and index of one file: one request for a file up to 1 MiB, else two or three, some of them side by side and a few
// ahead of the one who asks. Nothing beyond the window is read. What pages were changed is in the index, so tables can be told with
// package diff.
package history
