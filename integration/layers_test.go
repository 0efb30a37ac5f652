package integration

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/litefs-s3/litefs-s3"

// layers are the packages of the project from the bottom up: a package imports only from layers below its own. Those of one layer
// do not know each other.
var layers = [][]string{
	{"internal/"},
	{"objstore"},
	{"objstore/"}, // backends and decorators' tests
	{"index"},
	{"guard", "bulk", "writer/", "compact/"}, // SQL from others; many pages at once; the writer's log and lease; the merging of files
	{"vfs", "pages", "pitr", "hydrate", "writer", "compact", "restore", "verify", "diff", "history", "sidecar"},
	{"sandbox/"},                 // the module
	{"sandbox"},                  // what runs it
	{""},                         // the root
	{"prommetrics", "oteltrace"}, // what watches it
	{"web/"},                     // the same for browsers
	{"cmd/"},
}

// homes says which packages alone may import an outside library.
var homes = map[string][]string{
	"github.com/aws/":                       {"objstore/s3store"},
	"github.com/ncruces/go-sqlite3":         {"vfs", "guard", "", "web/", "cmd/"},
	"github.com/hashicorp/golang-lru":       {"pages"},
	"github.com/superfly/ltx":               {"index", "writer", "writer/", "compact", "compact/", "restore", "verify", "cmd/"},
	"github.com/pierrec/lz4":                {"index"},
	"github.com/spf13/cobra":                {"cmd/"},
	"github.com/cenkalti/backoff":           {"objstore"},
	"github.com/agnivade/levenshtein":       {"internal/nearest"},
	"github.com/dustin/go-humanize":         {"", "cmd/"},
	"github.com/jedib0t/go-pretty":          {"cmd/"},
	"github.com/schollz/progressbar":        {"cmd/"},
	"github.com/tetratelabs/wazero":         {"sandbox"},
	"github.com/prometheus/":                {"prommetrics"},
	"go.opentelemetry.io/":                  {"oteltrace"},
	"github.com/litefs-s3/litefs-s3/integr": {},
}

type goPackage struct {
	ImportPath string
	Imports    []string
}

// TestLayers keeps the picture in docs/ARCHITECTURE.md true: imports point down, siblings do not know each other, and each
// outside library has its home.
func TestLayers(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", module+"/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	dec := json.NewDecoder(strings.NewReader(string(out)))
	seen := 0
	for {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		name := short(p.ImportPath)
		if strings.HasPrefix(name, "integration") {
			continue // tests and measurements may use everything
		}
		seen++
		for _, imported := range p.Imports {
			if inside(imported) {
				checkLayer(t, name, short(imported))
			}
			checkHome(t, name, imported)
		}
	}
	if seen < 8 {
		t.Errorf("go list showed %d packages; the test looks at nothing", seen)
	}
}

func inside(path string) bool { return path == module || strings.HasPrefix(path, module+"/") }

func short(path string) string { return strings.TrimPrefix(strings.TrimPrefix(path, module), "/") }

// layer is the number of the layer that a package belongs to.
func layer(name string) int {
	for i, l := range layers {
		for _, member := range l {
			if belongs(name, member) {
				return i
			}
		}
	}
	return -1
}

// belongs reports whether a package is a member, or below a member that ends in a slash.
func belongs(name, member string) bool {
	return name == member || strings.HasSuffix(member, "/") && strings.HasPrefix(name, member)
}

func checkLayer(t *testing.T, from, to string) {
	t.Helper()
	a, b := layer(from), layer(to)
	family := strings.Split(from, "/")[0] // within cmd/ltxctl, objstore/…, internal/…: their own affair
	switch {
	case a < 0 || b < 0:
		t.Errorf("%q or %q is in no layer: add it to layers, and to the picture", from, to)
	case a == b && from != to && strings.Split(to, "/")[0] == family && strings.Contains(from, "/"):
	case a <= b:
		t.Errorf("%q imports %q, which is not below it", from, to)
	}
}

func checkHome(t *testing.T, from, imported string) {
	t.Helper()
	for library, allowed := range homes {
		if !strings.HasPrefix(imported, library) {
			continue
		}
		ok := false
		for _, home := range allowed {
			ok = ok || belongs(from, home)
		}
		if !ok {
			t.Errorf("%q imports %q, whose home is %q", from, imported, allowed)
		}
	}
}
