// Package wasiabi is what the WASI guest and its host say to each other: docs/wasi-abi.md as Go. Both sides use it, so that they
// cannot differ. Numbers are little-endian; what has names is JSON.
package wasiabi
