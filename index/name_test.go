package index

import (
	"strings"
	"testing"
)

// FuzzParseKey: names come from a listing that anybody may have filled. One that is taken is written the same way again, so that no two names mean
// the same file, and leads nowhere else.
func FuzzParseKey(f *testing.F) {
	for _, key := range []string{
		"0000/0000000000000001-0000000000000001.ltx", "0009/0000000000000001-00000000000000ff.ltx", "0/1-1.ltx", "../0000/0000000000000001-0000000000000001.ltx",
		"0000/0000000000000002-0000000000000001.ltx", "0000/0000000000000000-0000000000000001.ltx", "0000/000000000000000G-0000000000000001.ltx", "",
	} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		level, low, high, ok := ParseKey(key)
		if !ok {
			return
		}
		if low == 0 || low > high || strings.Contains(key, "..") || strings.HasPrefix(key, "/") {
			t.Fatalf("%q is taken as level %d, %s to %s", key, level, low, high)
		}
		if again := (&File{Level: level, Min: low, Max: high}).Key(); again != key {
			t.Fatalf("%q is taken, and would be written %q", key, again)
		}
	})
}
