package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/sqlrun"
	"github.com/litefs-s3/litefs-s3/sandbox"
)

// sandboxOptions are the flags of query that only a sandbox has.
type sandboxOptions struct {
	on     bool
	memory byteSize
	rows   int64
	bytes  byteSize
	fetch  byteSize
}

// byteSize is a flag for a number of bytes, like 64MiB.
type byteSize int64

func (b *byteSize) Set(text string) error {
	n, err := humanize.ParseBytes(text)
	if err != nil || n > 1<<50 {
		return errors.New("a size looks like 64MiB, 10 MB or 1048576")
	}
	*b = byteSize(n)
	return nil
}

func (b *byteSize) String() string {
	if *b == 0 {
		return ""
	}
	return humanize.IBytes(uint64(*b))
}

func (b *byteSize) Type() string { return "size" }

// sandboxFlags are those of sandboxOptions.
func sandboxFlags(cmd *cobra.Command, o *sandboxOptions) {
	f := cmd.Flags()
	f.BoolVar(&o.on, "sandbox", false, "run the statement, which may be anybody's, in a memory of its own with hard limits")
	f.Var(&o.memory, "max-memory", "of the sandbox: all its memory (64MiB)")
	f.Int64Var(&o.rows, "max-rows", 0, "of the sandbox: rows of the result (10000)")
	f.Var(&o.bytes, "max-bytes", "of the sandbox: bytes of the result (16MiB)")
	f.Var(&o.fetch, "max-fetch", "of the sandbox: bytes read from the store (256MiB)")
}

// checkSandbox refuses flags that do not go together.
func (o *queryOptions) checkSandbox(cmd *cobra.Command) error {
	if o.sandbox.on {
		if o.session.maxReqs > 0 {
			return usagef("--max-reqs does not bound a sandbox; give --max-fetch")
		}
		if o.sandbox.rows < 0 {
			return usagef("--max-rows %d: it cannot be negative", o.sandbox.rows)
		}
		return nil
	}
	for _, name := range []string{"max-memory", "max-rows", "max-bytes", "max-fetch"} {
		if cmd.Flags().Changed(name) {
			return usagef("--%s is a limit of a sandbox; give --sandbox, too", name)
		}
	}
	return nil
}

// querySandboxed runs one statement in a sandbox. --timeout is the statement's alone: the module may have to be compiled first.
func (c *cli) querySandboxed(ctx context.Context, replica, text string, params sqlrun.Params, o queryOptions) error {
	ctx, stop := c.interruptible(ctx)
	defer stop()
	store, metrics, err := c.open(ctx, replica)
	if err != nil {
		return err
	}
	start := time.Now()
	sb, err := sandbox.Options{
		Time: o.session.time, TXID: o.session.txid, PollInterval: -1, Instances: 1, Log: c.logger(),
		Compiling: c.tellCompiling,
		Limits: sandbox.Limits{
			Memory: int64(o.sandbox.memory), Time: o.timeout,
			Rows: o.sandbox.rows, Bytes: int64(o.sandbox.bytes), Fetch: int64(o.sandbox.fetch),
		},
	}.Open(ctx, store)
	if err != nil {
		return err
	}
	opened := time.Since(start)
	err = writeRows(ctx, sb, text, params, sqlrun.NewWriter(c.stdout, c.screen(c.stdout), o.rows))
	if o.stats {
		m := metrics.Stats()
		err = errors.Join(err, c.writeStats(c.stderr, stats{
			Gets: m.Gets, Lists: m.Lists, Others: m.Puts + m.Deletes, Bytes: m.BytesIn, Waves: m.Waves,
			Opened: opened.Seconds(), Ran: (time.Since(start) - opened).Seconds(), Dollars: dollars(m),
		}))
	}
	return errors.Join(err, sb.Close())
}

// tellCompiling says what takes so long the first time.
func (c *cli) tellCompiling() {
	text := "ltxctl: compiling the sandbox, which is kept; this once it takes ten seconds to a minute"
	fmt.Fprintln(c.stderr, c.screen(c.stderr).Wrap(text, ""))
}

// writeRows runs a statement and writes what comes back.
func writeRows(ctx context.Context, sb *sandbox.Sandbox, text string, params sqlrun.Params, out sqlrun.Writer) error {
	args := make([]any, 0, len(params))
	for name, value := range params {
		args = append(args, sql.Named(name, value.Go()))
	}
	rows, err := sb.Query(ctx, text, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	if err := out.Begin(rows.Columns()); err != nil {
		return err
	}
	row := make([]sqlrun.Value, len(rows.Columns()))
	for rows.Next() {
		for i, v := range rows.Values() {
			row[i] = sqlrun.ValueFrom(v)
		}
		if err := out.Row(row); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return errors.Join(err, out.Abort())
	}
	return out.End()
}
