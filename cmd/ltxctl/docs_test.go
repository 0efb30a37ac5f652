package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// typed is a command line in a page: between backquotes, or a line of a block.
var typed = regexp.MustCompile("(?m)(?:`|^ *|run \\./cmd/)(ltxctl [a-z][^`\n]*)")

// Every command and flag that a page tells to type is there.
func TestDocs(t *testing.T) {
	t.Parallel()
	root := (&cli{system: &system{}}).command()
	n := 0
	for _, pattern := range []string{"../../*.md", "../../docs/*.md", "../../examples/*/README.md"} {
		pages, err := filepath.Glob(pattern)
		if err != nil || len(pages) == 0 {
			t.Fatalf("no pages at %s: %v", pattern, err)
		}
		for _, page := range pages {
			text, err := os.ReadFile(page)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range typed.FindAllStringSubmatch(string(text), -1) {
				n++
				line, _, _ := strings.Cut(m[1], "  #")
				words := strings.Fields(line)[1:]
				cmd, _, err := root.Find(words)
				if err != nil || cmd == root && words[0] != "help" {
					t.Errorf("%s: %q: no such command (%v)", filepath.Base(page), line, err)
					continue
				}
				flags := cmd.Flags()
				flags.AddFlagSet(cmd.InheritedFlags())
				checkFlags(t, filepath.Base(page), line, flags)
			}
		}
	}
	if n < 60 {
		t.Errorf("only %d commands were found", n)
	}
}

func checkFlags(t *testing.T, page, line string, flags *pflag.FlagSet) {
	t.Helper()
	line = regexp.MustCompile(`'[^']*'|"[^"]*"`).ReplaceAllString(line, "TEXT")
	line, _, _ = strings.Cut(line, " | ")
	for _, word := range strings.Fields(line) {
		name, long := strings.CutPrefix(word, "--")
		name, _, _ = strings.Cut(strings.TrimRight(name, ":;,."), "=")
		short := !long && len(word) == 2 && word[0] == '-' && word != "--"
		switch {
		case long && name != "help" && flags.Lookup(name) == nil:
			t.Errorf("%s: %q: there is no flag --%s", page, line, name)
		case short && word != "-h" && flags.ShorthandLookup(word[1:]) == nil:
			t.Errorf("%s: %q: there is no flag %s", page, line, word)
		}
	}
}
