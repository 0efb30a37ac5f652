package guides

import (
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/litefs-s3/litefs-s3/examples/internal/world"
)

// docs is where the guides lie.
const docs = "../../docs/"

// block is a piece of a guide between fences.
type block struct {
	language string
	text     string
	before   string // the line of text before it
	line     int
}

// fence is a line that begins or ends a block.
var fence = regexp.MustCompile("^```([a-z]*)$")

func readBlocks(t *testing.T, path string) (blocks []block) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var open *block
	before := ""
	for i, line := range strings.Split(string(data), "\n") {
		m := fence.FindStringSubmatch(line)
		switch {
		case m != nil && open == nil:
			open = &block{language: m[1], before: before, line: i + 1}
		case m != nil:
			blocks, open = append(blocks, *open), nil
		case open != nil:
			open.text += line + "\n"
		case line != "":
			before = line
		}
	}
	if open != nil {
		t.Errorf("%s:%d: the block does not end", path, open.line)
	}
	return blocks
}

// named is the line before a block that says which file it is.
var named = regexp.MustCompile("^`([a-z/]+\\.go)`:$")

// What guides tell to type is typed, with the ltxctl of this checkout.
func TestCommands(t *testing.T) {
	tools := t.TempDir()
	run(t, "../..", "go", "build", "-o", filepath.Join(tools, "ltxctl"), "./cmd/ltxctl")
	t.Run("getting started", func(t *testing.T) { testGettingStarted(t, tools) })
	t.Run("runbook", func(t *testing.T) { testRunbook(t, tools) })
}

// testGettingStarted types everything that docs/getting-started.md says, with a MinIO that has the bucket "replicas".
func testGettingStarted(t *testing.T, tools string) {
	w := world.New(t)
	if err := w.CreateBucket(t.Context(), "replicas"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.RemoveBucket(t.Context(), "replicas") })
	dir := newModule(t)
	script := "set -euo pipefail\n"
	for _, b := range readBlocks(t, docs+"getting-started.md") {
		switch file := named.FindStringSubmatch(b.before); {
		case b.language == "go" && file != nil:
			write(t, filepath.Join(dir, file[1]), b.text)
		case b.language == "go":
			t.Errorf("line %d: nothing says which file that is", b.line)
		case b.language == "sh":
			script += fmt.Sprintf("echo '--- line %d'\n%s", b.line, b.text)
		}
	}
	cmd := exec.Command("bash", "-c", script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+tools+":"+os.Getenv("PATH"), "LITESTREAM_S3_ENDPOINT="+w.Endpoint, "XDG_CACHE_HOME="+t.TempDir(), "GOCACHE="+goCache(t))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	for _, says := range []string{"2 posts, as of", "4 posts, as of", "hello", "added", "good", "all is well"} {
		if !strings.Contains(string(out), says) {
			t.Errorf("nothing says %q:\n%s", says, out)
		}
	}
	if t.Failed() || testing.Verbose() {
		t.Logf("%s", out)
	}
}

// Go in guides is Go: whole programs compile, and what is less than that parses.
func TestGo(t *testing.T) {
	t.Parallel()
	guides, err := filepath.Glob(docs + "*.md")
	if err != nil || len(guides) < 8 {
		t.Fatalf("%d guides, %v", len(guides), err)
	}
	dir := newModule(t)
	programs, snippets := 0, 0
	for _, path := range append(guides, "../../README.md") {
		for _, b := range readBlocks(t, path) {
			switch whole := strings.HasPrefix(b.text, "package "); {
			case b.language == "go" && whole:
				programs++
				write(t, filepath.Join(dir, fmt.Sprint("program", programs), "main.go"), fmt.Sprintf("//line %s:%d\n%s", filepath.Base(path), b.line+1, b.text))
			case b.language == "go":
				snippets++
				if err := parses(b.text); err != nil {
					t.Errorf("%s:%d: %v", path, b.line, err)
				}
			}
		}
	}
	if programs < 2 || snippets < 5 {
		t.Fatalf("only %d programs and %d pieces of Go in %d guides", programs, snippets, len(guides))
	}
	run(t, dir, "go", "vet", "./...")
}

// imports are at the top of a piece of Go that is no whole file.
var imports = regexp.MustCompile(`(?s)^import \(.*?\n\)\n`)

// parses reads a piece of Go as what it is part of: a file, or a function. Dots stand for what is left out.
func parses(text string) error {
	text = strings.ReplaceAll(text, "…", "")
	head := imports.FindString(text)
	text = strings.TrimPrefix(text, head)
	_, err := parser.ParseFile(token.NewFileSet(), "", "package p\n"+head+text, parser.SkipObjectResolution)
	if err != nil {
		_, err = parser.ParseFile(token.NewFileSet(), "", "package p\n"+head+"func _() {\n"+text+"}\n", parser.SkipObjectResolution)
	}
	return err
}

// testRunbook runs every command of the runbook on a replica. It is a sound one, of a moment ago: what looks further back finds nothing
// (3), and nothing else may go wrong.
func testRunbook(t *testing.T, tools string) {
	dir := t.TempDir()
	run(t, dir, filepath.Join(tools, "ltxctl"), "demo", "--keep", "demo")
	n := 0
	for _, b := range readBlocks(t, docs+"runbook.md") {
		for line := range strings.Lines(b.text) {
			if b.language != "sh" || !strings.HasPrefix(line, "ltxctl ") {
				continue
			}
			n++
			cmd := exec.Command("bash", "-c", line)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "PATH="+tools+":"+os.Getenv("PATH"), "REPLICA=file://"+filepath.Join(dir, "demo", "replica"))
			out, err := cmd.CombinedOutput()
			if code := cmd.ProcessState.ExitCode(); code != 0 && (code != 3 || !strings.Contains(line, " ago")) {
				t.Errorf("%s%v\n%s", line, err, out)
			}
		}
	}
	if n < 20 {
		t.Errorf("the runbook has %d commands", n)
	}
}
