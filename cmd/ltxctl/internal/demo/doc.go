// Package demo makes a replica as Litestream does, in one process and without a daemon: an ordinary SQLite database, and after each
// transaction an LTX file with the pages that it changed.
//
//	app, err := demo.NewSource(ctx, "app.db", store)
//	first, err := app.Commit(ctx, "CREATE TABLE t(x); INSERT INTO t VALUES(1)") // 0000/…0001-…0001.ltx, every page
//	next, err := app.Commit(ctx, "UPDATE t SET x = 2")                          // 0000/…0002-…0002.ltx, one or two pages
package demo
