package main

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/sqlrun"
)

// versions are what ltxctl is made of.
type versions struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
	SQLite   string `json:"sqlite"`
	Driver   string `json:"go_sqlite3"`
	LTX      string `json:"ltx"`
}

// version is set by the linker for releases; go install and go build find out by themselves.
var version string

func (c *cli) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Show the versions of ltxctl, SQLite and the LTX library",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := readVersions(cmd.Context())
			if c.json {
				return c.writeJSON(v)
			}
			_, err := fmt.Fprintf(c.stdout, "ltxctl %s\n%s %s\nSQLite %s (go-sqlite3 %s)\nltx %s\n",
				strings.TrimSpace(v.Version+" "+v.Revision), v.Go, v.Platform, v.SQLite, v.Driver, v.LTX)
			return err
		},
	}
}

// noArgs is for commands that take none.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("ltxctl %s takes no arguments, and got %q", cmd.Name(), args[0])
	}
	return nil
}

func readVersions(ctx context.Context) versions {
	v := versions{Version: "(unknown)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		v.Version = cmp.Or(version, info.Main.Version)
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				v.Revision = s.Value[:min(12, len(s.Value))]
			}
		}
		for _, dep := range info.Deps {
			switch dep.Path {
			case "github.com/ncruces/go-sqlite3":
				v.Driver = dep.Version
			case "github.com/superfly/ltx":
				v.LTX = dep.Version
			}
		}
	}
	conn, err := sqlrun.Open(ctx, ":memory:")
	if err != nil {
		v.SQLite = err.Error()
		return v
	}
	defer conn.Close()
	if rows, err := conn.Strings(ctx, "SELECT sqlite_version()"); err == nil && len(rows) == 1 {
		v.SQLite = rows[0]
	}
	return v
}
