package filestore

import (
	"path/filepath"
	"strings"
	"testing"
)

// FuzzPath: whatever a key is, its file lies below the directory, and two keys have two files.
func FuzzPath(f *testing.F) {
	f.Add("0000/0000000000000001-0000000000000001.ltx", "0001/0000000000000001-0000000000000001.ltx", true)
	f.Add("../../etc/passwd", "..", false)
	f.Add("/etc/passwd", "a/../../b", true)
	f.Add("ltx/0/x", "0000/x", true)
	f.Add("00ff/../../../x", "00ff", true)
	f.Add("a//b", "a/b", false)
	f.Add("nul\x00", `a\b`, false)
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, a, b string, litestream bool) {
		layout := S3Like
		if litestream {
			layout = Litestream
		}
		pathA, errA := layout.path(dir, a)
		pathB, errB := layout.path(dir, b)
		for key, path := range map[string]string{a: pathA, b: pathB} {
			rel, err := filepath.Rel(dir, path)
			if path != "" && (err != nil || rel == "." || rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator))) {
				t.Fatalf("the file of %q is %q", key, path)
			}
		}
		if errA == nil && errB == nil && a != b && pathA == pathB {
			t.Fatalf("%q and %q are both %q", a, b, pathA)
		}
	})
}
