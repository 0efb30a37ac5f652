// Package guard runs SQL that others wrote on connections of github.com/ncruces/go-sqlite3, in a process that has to live on.
//
// Three things make SQL from others dangerous for a program that trusts its driver:
//
//   - The driver panics when SQLite runs out of memory, and once more when the statement is closed. [Do] makes an error of that,
//     [Step] and [Finalize] know about the second time, and [Connector] does the same below database/sql.
//   - SQL may ask for values of a gigabyte, joins of 64 tables, expressions a thousand levels deep. [Limits] bound that.
//   - SQL may attach files, write, and change settings. [ReadOnly] is an authorizer that lets it read one database and nothing else.
//
// A server that hands a statement on does
//
//	conn, err := guard.Open(ctx, "file:app.db?vfs=litefs-s3&mode=ro", guard.Limits{})
//	err = conn.SetAuthorizer(guard.ReadOnly)
//	conn.SetInterrupt(ctx) // a deadline
//	stmt, _, err := guard.Prepare(conn, sql)
//	for {
//		row, err := guard.Step(stmt)
//		…
//	}
//	err = guard.Finalize(stmt)
//
// What it does not bound: one function call inside SQLite that takes long, for SQLite looks at the interrupt between its own
// instructions only. instr() of two blobs of 10 MB takes hours, and nothing in this process stops it. And all of it is one process: the
// memory of a connection is bounded, that of all of them together is not. For SQL that one does not trust at all there is package sandbox.
package guard
