//go:build !wasip1

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, `litefs-s3-wasi is a WebAssembly module for WASI, not a program for this system: "make sandbox" builds it`)
	os.Exit(2)
}
