package integration

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// incidents are the rows of the table in docs/RELIABILITY.md, by kind: how many there are of each.
var incidents = map[string]int{"R": 12, "T": 3, "H": 6, "W": 12, "C": 7, "X": 6}

// TestReliability_NamesWhatIsThere keeps docs/RELIABILITY.md true: each test that it names exists in the package that it says, and each incident
// has a row with a test.
func TestReliability_NamesWhatIsThere(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/RELIABILITY.md")
	if err != nil {
		t.Fatal(err)
	}
	there := testNames(t)
	for _, m := range regexp.MustCompile("`(?:([a-z0-9]+)\\.)?((?:Test|Benchmark|Fuzz)\\w+)(…?)`").FindAllStringSubmatch(string(text), -1) {
		home, name, open := m[1]+".", m[2], m[3] != ""
		if !there[home+name] && !(open && anyBegins(there, home+name)) {
			t.Errorf("%s is named, and is not there", m[0])
		}
	}
	for kind, n := range incidents {
		for i := range n {
			row := regexp.MustCompile(fmt.Sprintf("(?m)^\\| %s%d \\| .*`.*(Test|Benchmark)", kind, i+1))
			if !row.Match(text) {
				t.Errorf("incident %s%d has no row that names a test", kind, i+1)
			}
		}
	}
}

func anyBegins(names map[string]bool, prefix string) bool {
	for name := range names {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// testNames are all tests, each with the last element of its package's path before it; nothing for those of the root.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	begins := regexp.MustCompile(`(?m)^func ((?:Test|Benchmark|Fuzz)\w+)\(`)
	err := filepath.WalkDir("..", func(path string, e fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		home := filepath.Base(filepath.Dir(path))
		if home == ".." {
			home = ""
		}
		for _, m := range begins.FindAllSubmatch(text, -1) {
			names[home+"."+string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
