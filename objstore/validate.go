package objstore

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// maxKeyLen is the longest key S3 takes, in bytes.
const maxKeyLen = 1024

// ValidateKey says whether every store can keep an object under key: relative, UTF-8, at most 1024 bytes, elements
// parted by single slashes, none of them "." or "..". Stores disagree on all other keys: one strips a leading slash,
// one refuses it, one lists it nowhere. Backends call it for every key they are handed.
func ValidateKey(key string) error {
	switch {
	case key == "":
		return errors.New("the key is empty")
	case len(key) > maxKeyLen:
		return fmt.Errorf("the key has %d bytes, more than the %d a store takes", len(key), maxKeyLen)
	case key == "." || !fs.ValidPath(key) || strings.ContainsRune(key, 0):
		return errors.New("the key is not a clean relative path of UTF-8 elements parted by single slashes")
	}
	return nil
}

// ValidateRange says whether a request for n bytes from byte off makes sense for some object.
func ValidateRange(off, n int64) error {
	if off < 0 || n < 0 || off+n < off {
		return fmt.Errorf("%d bytes from byte %d are not a range of any object", n, off)
	}
	return nil
}

// ValidateSpan says whether n is a length ReadSuffix and ReadPrefix take.
func ValidateSpan(n int64) error {
	if n <= 0 {
		return fmt.Errorf("%d bytes of an object asked for; the number must be positive", n)
	}
	return nil
}

// Validate refuses conditions that contradict each other.
func (o PutOptions) Validate() error {
	if o.OnlyCreate && o.IfMatch != "" {
		return errors.New("OnlyCreate and IfMatch contradict each other; set one")
	}
	return nil
}
