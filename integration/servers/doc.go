// Package servers builds and runs the real servers that tests and benchmarks work against: MinIO for the bucket, the Versity S3 Gateway
// for one of another make, and the Litestream daemon that writes a replica into it.
//
// All are built once with the Go tool chain from the small modules in the folders minio, versitygw and litestream, which do
// nothing but pin a version, and are kept in the user's cache directory. No Docker, no download but the Go module proxy.
//
//	func TestFollow(t *testing.T) {
//		store := servers.StartMinIO(t) // one server per test process
//		bucket := store.Bucket(t)      // one bucket per test
//		url := store.URL(bucket, "app")
//		...
//	}
//
//	daemon := servers.StartLitestream(t, servers.FastLitestream(store, bucket, "app", "/tmp/app.db"))
//	... write to /tmp/app.db ...
//	txid, err := daemon.Sync(ctx)                                          // all of it is in the bucket now
//	err = daemon.Restore(ctx, "/tmp/out.db", servers.RestoreOptions{})     // what unmodified Litestream makes of it
//
// For comparisons there is Litestream's VFS as well, as the loadable extension that it is, in the C SQLite: an [SQLHost]. Both are built
// with cgo in modules of their own, when the machine has a C compiler.
//
// Names with Start belong to a test: they stop the server at its end and show the server's log if the test failed.
// [OpenMinIO] and [OpenLitestream] are the same for programs. What is not a test's concern takes a context and returns an
// error.
//
// No server outlives the process that started it. On Linux the kernel kills the servers when the process dies, even by
// SIGKILL; the data of the shared MinIO is removed by a shell that waits for the process to be gone.
package servers
