package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// Every command that help shows has a page, and the page says what the help says.
func TestManual(t *testing.T) {
	t.Parallel()
	h, dir := new(host), filepath.Join(t.TempDir(), "new", "man1")
	h.expect(t, 0, "", "", "man", dir)
	root := (&cli{system: &system{}}).command()
	for _, cmd := range root.Commands() {
		if !cmd.IsAvailableCommand() && !cmd.IsAdditionalHelpTopicCommand() {
			continue
		}
		page, err := os.ReadFile(filepath.Join(dir, "ltxctl-"+cmd.Name()+".1"))
		if err != nil {
			t.Errorf("%v", err)
		} else if !strings.Contains(string(page), ".SH NAME") || !strings.Contains(string(page), "SYNOPSIS") {
			t.Errorf("%s: %.200s", cmd.Name(), page)
		}
	}
	page, err := os.ReadFile(filepath.Join(dir, "ltxctl-status.1"))
	if err != nil || !strings.Contains(string(page), "watch") {
		t.Errorf("%v: %s", err, page)
	}
	h.expect(t, exitUsage, "", "needs the directory", "man")
}

// A shell that completes gets scripts, commands, and flags.
func TestCompletion(t *testing.T) {
	t.Parallel()
	h := new(host)
	for shell, want := range map[string]string{
		"bash": "__start_ltxctl", "zsh": "#compdef ltxctl", "fish": "complete -c ltxctl", "powershell": "Register-ArgumentCompleter",
	} {
		h.expect(t, 0, want, "", "completion", shell)
	}
	h.expect(t, 0, "status\t", "", cobra.ShellCompRequestCmd, "sta")
	h.expect(t, 0, "--watch\t", "", cobra.ShellCompRequestCmd, "status", "--wa")
	h.expect(t, 0, "never\n", "", cobra.ShellCompRequestCmd, "info", "--color", "")
	h.expect(t, 0, "csv\n", "", cobra.ShellCompRequestCmd, "query", "--format", "")
	h.expect(t, 0, "verify\t", "", cobra.ShellCompRequestCmd, "help", "")
	h.expect(t, 0, "zsh\t", "", cobra.ShellCompRequestCmd, "completion", "z")
}
