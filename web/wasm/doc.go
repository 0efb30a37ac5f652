//go:build js && wasm

// Wasm is the program in litefs-s3.wasm, which worker.js runs. It puts an object of functions at globalThis.litefsS3, all of which
// return promises, and calls globalThis.litefsS3Ready. The numbers that stand for databases and statements are the Worker's own.
//
//	open(db, options)        opens a replica, and a moment of it as db
//	at(db, from, moment)     opens another moment of the same replica as db
//	start(id, db, sql, names, values, size, patience)
//	                         runs a statement: {columns, batch, done}
//	next(id, size, patience) its next rows: {batch, done}
//	cancel(id)               interrupts it; finish(id) ends it
//	status(db), timeline(db), close(db)
//
// What a promise is rejected with has a code and a message; see package engine for both, and for how rows are packed.
package main
