package reply

import (
	"fmt"
	"strings"

	"github.com/litefs-s3/litefs-s3/objstore"
)

// ErrUnordered is why a store cannot hold a replica.
var ErrUnordered = fmt.Errorf("replicas need listings in the order of keys: %w", objstore.ErrUnsupported)

// CheckPage says whether page can be the answer to a request for the keys with prefix after startAfter. Everything
// above relies on that, and some stores ignore one thing or the other.
func CheckPage(page objstore.Page, prefix, startAfter string) error {
	last := startAfter
	for _, info := range page.Objects {
		if info.Key <= last || !strings.HasPrefix(info.Key, prefix) || info.Size < 0 {
			return fmt.Errorf("the listing has %.100q of %d bytes after %.100q: %w", info.Key, info.Size, last, ErrUnordered)
		}
		last = info.Key
	}
	if page.More && len(page.Objects) == 0 {
		return fmt.Errorf("an empty page that says there is more: %w", objstore.ErrTemporary)
	}
	return nil
}
