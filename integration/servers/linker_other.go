//go:build !darwin

package servers

// linkerFlags are what Go's runtime needs of the system, and that the library uses its own one: the program that loads it has another
// Go runtime, with the same names.
var linkerFlags = []string{"-Wl,-Bsymbolic", "-lpthread", "-ldl", "-lm"}
