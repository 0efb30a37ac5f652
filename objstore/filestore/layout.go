package filestore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/litefs-s3/litefs-s3/objstore"
)

// Layout says which file an object is.
type Layout int

const (
	// S3Like has each object under its key.
	S3Like Layout = iota
	// Litestream has level n under ltx/n, with n in decimal.
	Litestream
)

func (l Layout) String() string {
	if l == Litestream {
		return "Litestream"
	}
	return "S3-like"
}

// level matches the first element of the keys of LTX files.
var level = regexp.MustCompile(`^[0-9a-f]{4}$`)

// path returns the file of a key below dir.
func (l Layout) path(dir, key string) (string, error) {
	if err := objstore.ValidateKey(key); err != nil {
		return "", err
	}
	for element := range strings.SplitSeq(key, "/") {
		if isHidden(element) {
			return "", fmt.Errorf("%q in it is the name of a temporary file", element)
		}
	}
	name, err := l.fileName(key)
	if err != nil {
		return "", err
	}
	local, err := filepath.Localize(name) // refuses what the system would take for something else
	if err != nil {
		return "", fmt.Errorf("no file can have this name here: %w", err)
	}
	return filepath.Join(dir, local), nil
}

// fileName returns the path of the file of a key relative to the directory, with slashes.
func (l Layout) fileName(key string) (string, error) {
	first, rest, nested := strings.Cut(key, "/")
	switch {
	case l == S3Like:
		return key, nil
	case first == "ltx":
		return "", errors.New("the folder ltx holds the levels in Litestream's layout")
	case !nested || !level.MatchString(first):
		return key, nil
	}
	n, err := strconv.ParseUint(first, 16, 16)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("ltx/%d/%s", n, rest), nil
}

// keyFolder returns the first element of keys for a folder of ltx, or false if it is not that of a level.
func keyFolder(name string) (string, bool) {
	n, err := strconv.ParseUint(name, 10, 16)
	if err != nil || strconv.FormatUint(n, 10) != name {
		return "", false
	}
	return fmt.Sprintf("%04x", n), true
}

// detect finds out the layout of a directory. found is false if it has neither.
func detect(dir string) (layout Layout, found bool, err error) {
	litestreams, err := hasFolder(filepath.Join(dir, "ltx"), func(name string) bool {
		_, ok := keyFolder(name)
		return ok
	})
	if err != nil {
		return 0, false, err
	}
	ours, err := hasFolder(dir, level.MatchString)
	switch {
	case err != nil:
		return 0, false, err
	case ours && litestreams:
		return 0, false, errors.New("it holds levels in two layouts, 0000 … and ltx/0 …; move one of them elsewhere")
	case litestreams:
		return Litestream, true, nil
	}
	return S3Like, ours, nil
}

// hasFolder says whether dir is there and has a folder with a name like that.
func hasFolder(dir string, like func(name string) bool) (bool, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !isMissing(err) {
		return false, err
	}
	for _, e := range entries {
		if e.Type()&fs.ModeType == fs.ModeDir && like(e.Name()) {
			return true, nil
		}
	}
	return false, nil
}

const (
	tempPrefix = ".litefs-s3-"
	lockName   = ".litefs-s3.lock"
)

// isHidden says whether a file name is that of no object: our temporary files and lock, Litestream's temporary files.
func isHidden(name string) bool {
	return strings.HasPrefix(name, tempPrefix) || name == lockName || strings.HasSuffix(name, ".ltx.tmp")
}
