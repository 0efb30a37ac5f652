// Package stoppable makes WebAssembly modules that come back to their host again and again while they run, so that it can stop them.
//
// A runtime that compiles to machine code has no way to end it. And while machine code runs, a host in Go cannot begin to collect garbage:
// that waits for all its threads, and everything else in the process waits for that. wazero's WithCloseOnContextDone has every loop call back into
// Go, which makes Go programs two to three times slower. [Rewrite] puts a few instructions at the head of each loop instead: count down,
// and at zero call a function that the module imports.
//
//	wasm, err := stoppable.Rewrite(wasm, "litefs_s3", "tick")
//
// A call every [Turns] loops costs nothing that could be measured, and counting a tenth of the time of a Go program, which loops at
// least once in each function that calls another one. Code without loops ends by itself: calls nest only as deep as the stack.
package stoppable
