package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// manualCommand writes the manual pages. It is for whoever makes packages, and hidden from others.
func (c *cli) manualCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "man DIRECTORY",
		Short:  "Write the manual pages",
		Long:   "Man writes a manual page for each command into a directory, which it makes\nif need be: ltxctl.1, ltxctl-list.1 and so on.",
		Hidden: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("ltxctl man needs the directory to write to, and got %d arguments", len(args))
			}
			return writeManual(cmd.Root(), args[0], c.now())
		},
	}
}

// writeManual writes the pages of root and of all that is below it, dated.
func writeManual(root *cobra.Command, dir string, date time.Time) error {
	if err := os.MkdirAll(filepath.Clean(dir), 0o755); err != nil {
		return fmt.Errorf("manual pages: %w", err)
	}
	root.DisableAutoGenTag = true // the same source makes the same pages
	header := &doc.GenManHeader{Title: "LTXCTL", Section: "1", Source: "litefs-s3", Manual: "litefs-s3", Date: &date}
	if err := doc.GenManTree(root, header, dir); err != nil {
		return fmt.Errorf("manual pages in %s: %w", dir, err)
	}
	for _, cmd := range root.Commands() {
		if !cmd.IsAdditionalHelpTopicCommand() { // those GenManTree leaves out
			continue
		}
		if err := writePage(cmd, *header, filepath.Join(dir, "ltxctl-"+cmd.Name()+".1")); err != nil {
			return fmt.Errorf("manual page: %w", err)
		}
	}
	return nil
}

// writePage writes one manual page.
func writePage(cmd *cobra.Command, header doc.GenManHeader, path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	header.Title = "LTXCTL-" + strings.ToUpper(cmd.Name())
	return errors.Join(doc.GenMan(cmd, &header, file), file.Close())
}
