package objstore

import (
	"fmt"
	"strings"
)

// Join is errors.Join for many errors of one kind: its text shows the first few and counts the others. Backends use
// it for the keys a Delete could not remove.
func Join(errs ...error) error {
	var joined joinedError
	for _, err := range errs {
		switch e := err.(type) {
		case nil:
		case joinedError:
			joined = append(joined, e...)
		default:
			joined = append(joined, err)
		}
	}
	switch len(joined) {
	case 0:
		return nil
	case 1:
		return joined[0]
	}
	return joined
}

type joinedError []error

func (e joinedError) Error() string {
	const shown = 3
	var b strings.Builder
	for i, err := range e[:min(shown, len(e))] {
		if i > 0 {
			b.WriteString("\n")
		}
		b.WriteString(err.Error())
	}
	if len(e) > shown {
		fmt.Fprintf(&b, "\nand %d more", len(e)-shown)
	}
	return b.String()
}

func (e joinedError) Unwrap() []error { return e }
