// Package integration tests the whole against real parts: a MinIO server, the unmodified Litestream daemon, SQLite itself.
// Its sub-packages build and start them, make sample databases and replicas, and measure.
//
// Nothing has to be installed: package servers builds what it needs through the Go module proxy, once for a machine.
package integration
