// Package wasimodule builds the WASI module that package sandbox runs, from the source around it, once for each state of that source:
//
//	path, err := wasimodule.File(ctx)
//
// The file lies in the user's cache directory. "make sandbox" copies it to where programs find it.
package wasimodule
