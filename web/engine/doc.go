// Package engine is what runs in the browser's Worker, without anything of the browser: a replica opened to read, and SQL on it.
//
//	replica, err := engine.Open(ctx, store, engine.Options{})
//	now := replica.Latest()                                   // a Moment: it follows the writer
//	past, err := replica.At(ctx, "5 minutes ago")             // another one, beside it
//	cursor, err := past.Start(ctx, "SELECT * FROM orders WHERE id > ?", engine.Params{Values: args})
//	for !cursor.Done() {
//		batch, err := cursor.Next(64<<10, 50*time.Millisecond) // rows, packed
//	}
//	cursor.Close()
//
// It is the read side of the module's root package, put together anew from the same parts: [index.Tracker], [pages.Source], package
// pitr and package vfs. The root brings the AWS SDK, the writer and compaction along, which are twice the program and nothing that a
// browser has use for.
//
// # Connections
//
// A connection of SQLite runs one statement at a time, and one that has not ended pins what it reads. So each [Moment] keeps a
// few connections, and a [Cursor] has one to itself until it is closed. Connections of one moment share pages, and so do moments.
//
// # Rows
//
// Rows cross from Go to JavaScript, and parameters come back, as one piece of bytes: a value is a tag and what follows it, little-endian.
//
//	0 NULL · 1 integer of 4 bytes · 2 integer of 8 bytes · 3 float of 8 bytes · 4 text · 5 blob; these two are a length of 4 bytes, and the bytes
//
// A value at a time would cost more than SQLite does.
package engine
