package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"github.com/spf13/cobra"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/render"
	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/sqlrun"
)

func (c *cli) shellCommand() *cobra.Command {
	var o sessionOptions
	var rows sqlrun.Options
	cmd := &cobra.Command{
		Use:   "shell [REPLICA]",
		Short: "Type SQL at a replica that follows its writer, or travel in time",
		Long: `Shell reads SQL statements, each up to its semicolon, and commands that begin
with a dot; .help lists those. It follows the writer: each statement sees the
newest state, until .time chooses a moment. It edits lines and keeps a history
on a terminal; elsewhere it runs what standard input holds, and exits with 1
if a statement failed.`,
		Example: "  ltxctl shell s3://bucket/app\n  echo '.tables' | ltxctl shell s3://bucket/app",
		RunE: func(cmd *cobra.Command, args []string) error {
			replica, _, err := c.replicaArg(args, 0)
			if err != nil {
				return err
			}
			if c.json {
				rows.Format = "json"
			}
			return c.shell(cmd.Context(), replica, o, rows)
		},
	}
	c.momentFlags(cmd, &o)
	return cmd
}

// shell is one dialogue.
type shell struct {
	*cli
	*session
	replica string
	screen  render.Screen
	rows    sqlrun.Options
	stats   bool
	typed   bool // by somebody at a terminal
	failed  bool // a statement did
}

func (c *cli) shell(ctx context.Context, replica string, o sessionOptions, rows sqlrun.Options) error {
	if err := o.checkMoment(); err != nil {
		return err
	}
	opening, stop := c.interruptible(ctx)
	s, err := c.session(opening, replica, o)
	stop()
	if err != nil {
		return err
	}
	sh := &shell{cli: c, session: s, replica: replica, screen: c.screen(c.stdout), rows: rows}
	in := c.prompt()
	sh.typed = in != nil
	if !sh.typed {
		in = pipe{bufio.NewReader(c.stdin)}
	} else {
		sh.greet(ctx)
	}
	if e, ok := in.(completer); ok {
		e.complete(sh.complete)
	}
	err = sh.talk(ctx, in)
	err = errors.Join(err, in.Close(), s.Close())
	if err == nil && sh.failed && !sh.typed {
		return &reported{exitFailed}
	}
	return err
}

func (sh *shell) greet(ctx context.Context) {
	fmt.Fprintf(sh.stdout, "%s, read-only. Statements end with ;  .help lists commands, Ctrl-D leaves.\n",
		sh.screen.Paint(render.Bold, displayURL(sh.replica)))
	if text, err := sh.position(ctx); err == nil {
		fmt.Fprintln(sh.stdout, sh.screen.Paint(render.Dim, text))
	}
}

// errQuit: the user wants to leave.
var errQuit = errors.New("quit")

// talk reads and runs statements and commands until there are no more.
func (sh *shell) talk(ctx context.Context, in editor) error {
	var text string // a statement that goes on
	for {
		line, err := in.Line(sh.promptText(ctx, text != ""))
		switch {
		case errors.Is(err, errLineCancelled):
			text = ""
			continue
		case errors.Is(err, io.EOF):
			if sh.typed {
				fmt.Fprintln(sh.stdout)
				return nil
			}
			return sh.attempt(ctx, text)
		case err != nil:
			return fmt.Errorf("standard input: %w", err)
		}
		if text == "" && strings.HasPrefix(strings.TrimSpace(line), ".") {
			err = sh.handle(sh.interrupted(ctx, func(ctx context.Context) error { return sh.command(ctx, line) }))
			if errors.Is(err, errQuit) {
				return nil
			}
		} else {
			text += line + "\n"
			if !sqlrun.Complete(text) {
				continue
			}
			err = sh.attempt(ctx, text)
			text = ""
		}
		if err != nil {
			return err
		}
	}
}

// attempt runs statements and reports what fails.
func (sh *shell) attempt(ctx context.Context, sql string) error {
	if strings.TrimSpace(sql) == "" {
		return nil
	}
	return sh.handle(sh.interrupted(ctx, func(ctx context.Context) error { return sh.run(ctx, sql) }))
}

// interrupted runs fn until it ends or the user presses Ctrl-C.
func (sh *shell) interrupted(ctx context.Context, fn func(context.Context) error) error {
	ctx, stop := sh.interruptible(ctx)
	defer stop()
	return fn(ctx)
}

// handle reports an error and goes on, unless it ends the dialogue.
func (sh *shell) handle(err error) error {
	switch {
	case err == nil, errors.Is(err, errQuit):
		return err
	case errors.Is(err, context.Canceled) && !sh.typed:
		return err
	}
	sh.failed = true
	sh.report(err)
	return nil
}

func (sh *shell) run(ctx context.Context, sql string) error {
	var before litefss3.Status
	if sh.stats {
		var err error
		if before, err = sh.status(ctx); err != nil {
			return err
		}
	}
	start := time.Now()
	err := sh.Run(ctx, sql, nil, sqlrun.NewWriter(sh.stdout, sh.screen, sh.rows))
	if sh.stats {
		took := time.Since(start)
		after, serr := sh.status(context.WithoutCancel(ctx))
		if serr == nil {
			serr = sh.writeStats(sh.stderr, statsBetween(before, after, took))
		}
		err = errors.Join(err, serr)
	}
	return err
}

// promptText shows what is read: the replica's name, and the moment when it is not the newest.
func (sh *shell) promptText(ctx context.Context, more bool) string {
	if !sh.typed {
		return ""
	}
	name := path.Base(strings.TrimRight(displayURL(sh.replica), "/"))
	if at, err := sh.pragma(ctx, "time", ""); err == nil && at != "latest" {
		if t, err := time.Parse(time.RFC3339, at); err == nil {
			name += " @ " + render.Time(t)
		}
	}
	if more {
		return strings.Repeat(" ", max(0, len(name)-3)) + "...> "
	}
	return name + "> "
}

// position says which moment is read.
func (sh *shell) position(ctx context.Context) (string, error) {
	st, err := sh.status(ctx)
	if err != nil {
		return "", err
	}
	sh.screen.Now = sh.now()
	p := st.Position
	return fmt.Sprintf("reading txid %s of %s, %s", p.TXID[len(p.TXID)-digitsOf(p.TXID):], render.Millis(p.Time), sh.screen.Age(p.Time)), nil
}

// complete returns what can stand instead of the last word of a line.
func (sh *shell) complete(line string) (head string, words []string) {
	at := strings.LastIndexAny(line, " \t(,=<>.") + 1
	if strings.HasPrefix(line, ".") && !strings.Contains(line, " ") {
		at = 0
	}
	head, begun := line[:at], strings.ToLower(line[at:])
	for _, candidate := range sh.candidates(head) {
		if strings.HasPrefix(strings.ToLower(candidate), begun) {
			words = append(words, candidate)
		}
	}
	return head, words
}

// keywords are the words of SQL that begin clauses.
var keywords = strings.Fields(`SELECT FROM WHERE GROUP ORDER BY LIMIT OFFSET JOIN LEFT ON USING HAVING DISTINCT UNION ALL EXCEPT INTERSECT
	WITH AS AND OR NOT NULL IN LIKE BETWEEN EXISTS CASE WHEN THEN ELSE END COUNT SUM MIN MAX AVG EXPLAIN QUERY PLAN PRAGMA ASC DESC`)

func (sh *shell) candidates(head string) []string {
	if head == "" {
		var names []string
		for _, d := range dotCommands {
			names = append(names, d.name)
		}
		return append(names, keywords...)
	}
	const names = `SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')
		UNION SELECT p.name FROM sqlite_schema AS s JOIN pragma_table_info(s.name) AS p WHERE s.type IN ('table', 'view')`
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	known, _ := sh.Strings(ctx, names)
	return append(known, keywords...)
}
