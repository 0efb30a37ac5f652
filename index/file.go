package index

import (
	"cmp"
	"fmt"
	"time"

	"github.com/superfly/ltx"

	"github.com/litefs-s3/litefs-s3/objstore"
)

// TXID is a transaction number of the replica, from 1; 16 hex digits in text.
type TXID = ltx.TXID

// Levels of a replica: 0 holds single commits, 1 to 8 merged ones, 9 snapshots.
const (
	MaxLevel      = 9
	SnapshotLevel = 9
)

// File is one LTX file of a replica as a listing shows it. Files are immutable; one that comes back with another ETag
// is another file.
type File struct {
	Level    int
	Min, Max TXID
	Size     int64 // bytes
	ETag     string
	Modified time.Time // when the store got it, not when its transactions were made
}

// Key is the object's key below the replica's prefix, for example
// "0000/000000000000002a-000000000000002a.ltx".
func (f *File) Key() string {
	return fmt.Sprintf("%04x/%s", f.Level, ltx.FormatFilename(f.Min, f.Max))
}

// Ref names the very bytes that the listing showed.
func (f *File) Ref() objstore.Ref { return objstore.Ref{Key: f.Key(), ETag: f.ETag} }

// String is the file's name in errors and logs, for example "L0/000000000000002a-000000000000002a".
func (f *File) String() string {
	return fmt.Sprintf("L%d/%s-%s", f.Level, f.Min, f.Max)
}

// fileID tells files apart: the name and the version of the object under it.
type fileID struct {
	level    int
	min, max TXID
	size     int64
	etag     string
}

func (f *File) id() fileID { return fileID{f.Level, f.Min, f.Max, f.Size, f.ETag} }

// sameName reports whether a and b are stored under the same key.
func sameName(a, b *File) bool {
	return a.Level == b.Level && a.Min == b.Min && a.Max == b.Max
}

// ParseKey reads a key below the replica's prefix. ok is false for every key that is not an LTX file of a level.
func ParseKey(key string) (level int, min, max TXID, ok bool) {
	const keyLen = len("0000/0000000000000001-0000000000000001.ltx")
	if len(key) != keyLen || key[4] != '/' || key[21] != '-' || key[38:] != ".ltx" {
		return 0, 0, 0, false
	}
	n, ok0 := parseHex(key[:4])
	lo, ok1 := parseHex(key[5:21])
	hi, ok2 := parseHex(key[22:38])
	if !ok0 || !ok1 || !ok2 || n > MaxLevel || lo == 0 || hi < lo {
		return 0, 0, 0, false
	}
	return int(n), TXID(lo), TXID(hi), true
}

// parseHex reads at most 16 hex digits, in lower case.
func parseHex(s string) (n uint64, ok bool) {
	for _, c := range []byte(s) {
		switch {
		case '0' <= c && c <= '9':
			n = n<<4 | uint64(c-'0')
		case 'a' <= c && c <= 'f':
			n = n<<4 | uint64(c-'a'+10)
		default:
			return 0, false
		}
	}
	return n, true
}

// levelPrefix is what the keys of a level begin with.
func levelPrefix(level int) string { return fmt.Sprintf("%04x/", level) }

// compareFiles orders by level, then by TXIDs.
func compareFiles(a, b File) int {
	return cmp.Or(cmp.Compare(a.Level, b.Level), cmp.Compare(a.Min, b.Min), cmp.Compare(a.Max, b.Max))
}
