// Litefs-s3-wasi is the reading half of litefs-s3 as a WebAssembly module for hosts of any language: it opens a replica whose objects the
// host reads, and runs statements in memory that the host bounds. It has no network, no files, and no clock but the host's. docs/wasi-abi.md
// says what the two call of each other; package sandbox is the host in Go, examples/wasi-node one in JavaScript.
//
//	make sandbox
//
// builds it: GOOS=wasip1 GOARCH=wasm, as a reactor. Elsewhere this program only says so.
package main
