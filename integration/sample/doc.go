// Package sample makes SQLite databases for tests and benchmarks and compares databases page by page.
//
// A sample is the database of a small social site: users, posts with two secondary indexes, likes WITHOUT ROWID. The
// text is drawn unevenly from a made-up vocabulary, so pages compress about as prose does. The same options give the
// same file, byte for byte, on every machine: 180,000 posts are 109 MB, 1,750,000 are 1.07 GB, just short of the page
// that SQLite never uses; a few transactions more and the database has grown over it.
//
//	path, err := sample.Cached(ctx, sample.Options{Posts: 180_000}) // made once per machine; do not change it
//	err = sample.Copy(dir+"/app.db", path)
//	db, err := sample.OpenSource(dir + "/app.db")                   // WAL mode, the way Litestream wants it
//	err = sample.Touch(ctx, db, 200, 50*time.Millisecond)           // 200 small transactions
//
// The truth that a replica is held against is a plain database file:
//
//	err = sample.Image(ctx, dir+"/app.db", dir+"/truth.db")         // also of a database in use
//	sample.EqualDatabases(t, dir+"/truth.db", restored)
//
// Pages must be equal but for the bytes of page 1 that may differ between copies of one database; see [Compare].
package sample
