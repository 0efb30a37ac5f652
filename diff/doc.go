// Package diff says which pages of a database differ between two moments, and which tables they belong to, without reading the
// pages that are the same.
//
//	pages, err := diff.Between(ctx, tracker, from, to)  // from page tables alone
//	trees, err := diff.Trees(ctx, src, to, pages)       // reads the upper parts of the b-trees
//
// # Pages
//
// A View knows of every page the TXID as of which its content is known. A page of the later View that is known as of the earlier one's
// TXID, or before, is the same in both. When a snapshot lies between the two, that says nothing, for all its pages carry one
// TXID; then the page tables of the files in between are asked, if they are still there. What comes out are the pages that may differ:
// those that do and perhaps others, for a page may have been written and written back. When nothing tells, all are.
//
// # Trees
//
// A page belongs to a table or an index when the b-tree that begins at its root page leads to it. The interior pages of all b-trees are
// read for that, about one page in a hundred, and of each level of leaves one; and those of the pages asked for that are leaves, for the overflow chains
// that begin in them. What is found nowhere is listed as such: free pages, and pages in the middle of long values whose row did not
// change. A comparison of rows may pass over a table none of whose b-trees is listed only when there are no such pages.
package diff
