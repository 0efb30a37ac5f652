// Package litefss3 opens SQLite databases where they already lie in object storage.
//
// A bucket holds a replica that Litestream v0.5 writes: immutable LTX files. Import this package, and open it with
// github.com/ncruces/go-sqlite3, without cgo:
//
//	import (
//		"database/sql"
//
//		_ "github.com/litefs-s3/litefs-s3"
//		_ "github.com/ncruces/go-sqlite3/driver"
//	)
//
//	db, err := sql.Open("sqlite3", "file:app.db?vfs=litefs-s3&replica_url=s3://bucket/app")
//
// Pages are fetched by HTTP range requests when they are read, and kept in one cache for the whole process. Each transaction reads one
// moment of the database; new ones follow the writer about a second behind. A connection reads the past after
//
//	PRAGMA litestream_time = '5 minutes ago'
//
// and the newest state again after PRAGMA litestream_time = 'latest'. Programs that want no URIs use [Register] with a [Config].
//
// With hydration_path=FILE a local copy fills in the background and serves each page as soon as it is there. With write_enabled=1 the
// database can be written: commits go to a local log that survives crashes, and each second to the bucket as an LTX file that unmodified
// Litestream restores. One process at a time is the writer; Close says what could not be uploaded.
//
// Everything that can be set and asked is listed in the README. docs/getting-started.md begins at nothing, and the folder examples has whole
// programs: an HTTP service, a thousand tenants, failover, a function, an ORM.
package litefss3
