package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/render"
	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/sqlrun"
	"github.com/litefs-s3/litefs-s3/internal/nearest"
)

// dotCommand is a command of the shell.
type dotCommand struct {
	name, args, help string
	run              func(sh *shell, ctx context.Context, arg string) error
}

var dotCommands []dotCommand

func init() { // not a literal: .help refers to the table
	dotCommands = []dotCommand{
		{".tables", "[PATTERN]", "tables and views, those like PATTERN", (*shell).tables},
		{".schema", "[TABLE]", "the statements that made the tables", (*shell).schema},
		{".indexes", "[TABLE]", "indexes", (*shell).indexes},
		{".time", "[PHRASE]", `read a moment: "5 minutes ago", 2026-11-20 14:00, latest; alone: which one`, (*shell).time},
		{".txid", "[TXID]", "the same by transaction", (*shell).txid},
		{".status", "", "position, health, cache and requests", (*shell).showStatus},
		{".mode", "[FORMAT]", "write rows as " + strings.Join(sqlrun.Formats, ", "), (*shell).mode},
		{".headers", "on|off", "names of columns", (*shell).headers},
		{".stats", "on|off", "what each statement costs", (*shell).toggleStats},
		{".help", "", "this list", (*shell).help},
		{".quit", "", "leave, as Ctrl-D does", func(*shell, context.Context, string) error { return errQuit }},
	}
}

// command runs a line that begins with a dot.
func (sh *shell) command(ctx context.Context, line string) error {
	name, arg, _ := strings.Cut(strings.TrimSpace(line), " ")
	arg = strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(arg), ";"))
	if name == ".exit" {
		name = ".quit"
	}
	var names []string
	for _, d := range dotCommands {
		if d.name == name {
			return d.run(sh, ctx, unquote(arg))
		}
		names = append(names, d.name)
	}
	return fmt.Errorf("unknown command %q%s .help lists all", name, nearest.Hint(name, names))
}

// unquote takes one pair of quotes away, which people put around phrases.
func unquote(arg string) string {
	if n := len(arg); n >= 2 && arg[0] == arg[n-1] && (arg[0] == '\'' || arg[0] == '"') {
		return arg[1 : n-1]
	}
	return arg
}

func (sh *shell) tables(ctx context.Context, pattern string) error {
	if pattern == "" {
		pattern = "%"
	}
	return sh.names(ctx, `SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite~_%' ESCAPE '~'
		AND name LIKE ?1 ORDER BY 1`, pattern)
}

func (sh *shell) indexes(ctx context.Context, table string) error {
	if table == "" {
		table = "%"
	}
	return sh.names(ctx, `SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name LIKE ?1 ORDER BY 1`, table)
}

// names writes what a query finds, side by side on a terminal.
func (sh *shell) names(ctx context.Context, sql, pattern string) error {
	names, err := sh.Strings(ctx, sql, pattern)
	if err != nil {
		return err
	}
	for i, name := range names {
		names[i] = render.Printable(name)
	}
	return sh.screen.Columns(sh.stdout, names)
}

func (sh *shell) schema(ctx context.Context, table string) error {
	if table == "" {
		table = "%"
	}
	statements, err := sh.Strings(ctx, `SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND (tbl_name LIKE ?1 OR name LIKE ?1)
		ORDER BY tbl_name, type = 'table' DESC, rowid`, table)
	if err != nil {
		return err
	}
	if len(statements) == 0 && table != "%" {
		known, err := sh.Strings(ctx, "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')")
		if err != nil {
			return err
		}
		return fmt.Errorf("no such table: %s%s", table, nearest.Hint(table, known))
	}
	for _, sql := range statements {
		for line := range strings.Lines(sql) {
			line = strings.ReplaceAll(strings.TrimRight(line, "\r\n"), "\t", "  ")
			fmt.Fprintln(sh.stdout, render.Printable(line))
		}
		fmt.Fprintln(sh.stdout, ";")
	}
	return nil
}

func (sh *shell) time(ctx context.Context, phrase string) error {
	return sh.travel(ctx, "time", phrase)
}

func (sh *shell) txid(ctx context.Context, txid string) error { return sh.travel(ctx, "txid", txid) }

// travel sets a moment, if there is one, and says which one is read.
func (sh *shell) travel(ctx context.Context, pragma, value string) error {
	if value != "" {
		if _, err := sh.pragma(ctx, pragma, value); err != nil {
			return err
		}
	}
	text, err := sh.position(ctx)
	if err == nil {
		_, err = fmt.Fprintln(sh.stdout, text)
	}
	return err
}

func (sh *shell) showStatus(ctx context.Context, _ string) error {
	st, err := sh.status(ctx)
	if err != nil {
		return err
	}
	if sh.json {
		return sh.writeJSON(st)
	}
	position, err := sh.position(ctx)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(sh.stdout, 0, 0, 2, ' ', 0)
	line := func(name, format string, args ...any) { fmt.Fprintf(w, "%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	line("replica", "%s", st.Replica)
	line("health", "%s %s", st.Health, st.Error)
	line("position", "%s", strings.TrimPrefix(position, "reading "))
	if st.Position.Asked != "" {
		line("", "asked for %s", st.Position.Asked)
	}
	line("database", "%s in %s", render.Bytes(st.Position.Bytes), render.Count(st.Position.Pages, "page"))
	line("following", "txid %s, %s behind, last look %.1f s ago, every %s", st.Following.TXID[len(st.Following.TXID)-digitsOf(st.Following.TXID):],
		render.Count(st.Following.Behind, "transaction"), st.Following.Lag, st.Following.Poll)
	line("cache", "%s of %s; %d hits, %d misses, %d fetches", render.Bytes(st.Cache.Used), render.Bytes(st.Cache.Budget),
		st.Cache.Hits, st.Cache.Misses, st.Cache.Fetches)
	line("requests", "%d get, %d list, %d errors; %s in %s; about $%.6f", st.Requests.Get, st.Requests.List, st.Requests.Errors,
		render.Bytes(st.Requests.Bytes), render.Count(st.Requests.Waves, "wave"), st.Requests.Dollars)
	return w.Flush()
}

func (sh *shell) mode(_ context.Context, format string) error {
	if format == "" {
		_, err := fmt.Fprintf(sh.stdout, "one of %s\n", strings.Join(sqlrun.Formats, ", "))
		return err
	}
	if err := sqlrun.CheckFormat(format); err != nil {
		return err
	}
	sh.rows.Format = format
	return nil
}

func (sh *shell) headers(_ context.Context, arg string) error {
	on, err := onOff(arg)
	if err == nil {
		sh.rows.NoHeader = !on
	}
	return err
}

func (sh *shell) toggleStats(_ context.Context, arg string) error {
	on, err := onOff(arg)
	if err == nil {
		sh.stats = on
	}
	return err
}

func onOff(arg string) (bool, error) {
	if !slices.Contains([]string{"on", "off"}, arg) {
		return false, fmt.Errorf("%q is neither on nor off", arg)
	}
	return arg == "on", nil
}

func (sh *shell) help(context.Context, string) error {
	w := tabwriter.NewWriter(sh.stdout, 0, 0, 2, ' ', 0)
	for _, d := range dotCommands {
		fmt.Fprintf(w, "%s\t%s\n", strings.TrimSpace(d.name+" "+d.args), d.help)
	}
	fmt.Fprintf(w, "\nTwo moments in one statement: ATTACH 'file:%s?vfs=litefs-s3&time=yesterday' AS past;\n", sh.name)
	return w.Flush()
}
