// Package guides tries the guides in docs word by word: what a reader would type is run in an empty folder, and Go that is shown is
// compiled.
package guides
