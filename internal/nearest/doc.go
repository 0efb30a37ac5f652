// Package nearest finds the name somebody most likely meant.
//
//	if !known(name) {
//		return fmt.Errorf("unknown parameter %q%s", name, nearest.Hint(name, names))
//	}
package nearest
