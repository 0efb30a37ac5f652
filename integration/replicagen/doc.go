// Package replicagen writes a replica in Litestream's layout without Litestream, in seconds instead of hours: the same
// chain of snapshot and levels that a daemon leaves behind, for unit tests and benchmarks.
//
// The content is real. A copy of the given database gets small transactions one after another; each becomes one TXID,
// made of the pages that SQLite put into the WAL, which is how Litestream makes them. Several TXIDs together become a
// file of a higher level. With the defaults a chain of forty files looks like this:
//
//	L9    1-100                 the whole database
//	L3  101-200 … 301-400       3 files of 100 TXIDs
//	L2  401-420 … 501-520       6 files of 20
//	L1  521-525 … 566-570      10 files of 5
//	L0  571-571 … 590-590      20 single ones
//
// An example, with the truth to compare against:
//
//	replica, err := replicagen.Chain(ctx, store, "app.db", replicagen.Options{
//		Prefix: "app",
//		Image:  func(txid ltx.TXID) string { return filepath.Join(dir, txid.String()+".db") },
//	})
//
// Headers, names, flags, checksums and metadata are those that Litestream v0.5.18 writes.
package replicagen
