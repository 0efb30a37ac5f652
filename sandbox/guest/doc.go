// Package guest finds the WASI module that package sandbox runs. "make sandbox" builds it into this directory, compressed; it is not
// part of the source. Programs that are built with -tags sandbox_embed have it in them.
package guest
