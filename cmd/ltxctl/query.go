package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/sqlrun"
)

// queryOptions are the flags of query.
type queryOptions struct {
	session sessionOptions
	rows    sqlrun.Options
	params  []string
	stats   bool
	timeout time.Duration
	sandbox sandboxOptions
}

func (c *cli) queryCommand() *cobra.Command {
	var o queryOptions
	cmd := &cobra.Command{
		Use:   "query [REPLICA] SQL",
		Short: "Run SQL on a replica, now or at an earlier moment",
		Long: `Query runs one or more SQL statements on a replica and writes the rows. SQL
that is - comes from standard input. All statements see the same state: the
newest one, or that of --time or --txid. The replica is opened read-only.

Formats: table (on a terminal), csv (elsewhere), json (an array of objects for
each statement), line (one value a line). A blob is x'…' in csv and base64 in
json; NULL is empty in csv while an empty text is "".

With --sandbox the statement, a single one, may be anybody's: it runs in a
memory of its own with hard limits and can do nothing but read. It takes many
times as long, and the first one ever has to wait while the sandbox is
compiled: ten seconds to a minute.`,
		Example: `  ltxctl query s3://bucket/app "SELECT count(*) FROM posts" --stats
  ltxctl query s3://bucket/app --time "5 minutes ago" "SELECT * FROM posts ORDER BY id DESC LIMIT 10"
  ltxctl query s3://bucket/app "SELECT * FROM users WHERE id = :id" --param id=42 --json
  ltxctl query s3://bucket/app - < report.sql > report.csv
  ltxctl query s3://bucket/app - --sandbox --max-memory 64MiB --timeout 2s < strangers.sql`,
		RunE: func(cmd *cobra.Command, args []string) error {
			replica, rest, err := c.replicaArg(args, 1)
			if err != nil {
				return err
			}
			if len(rest) == 0 {
				return usagef("no SQL: give it after the replica, or - to read it from standard input")
			}
			if err := o.checkSandbox(cmd); err != nil {
				return err
			}
			return c.query(cmd.Context(), replica, rest[0], o)
		},
	}
	f := cmd.Flags()
	c.momentFlags(cmd, &o.session)
	f.StringVarP(&o.rows.Format, "format", "f", "", "table, csv, json or line (default: table on a terminal, csv elsewhere)")
	completes(cmd, "format", sqlrun.Formats...)
	f.BoolVar(&o.rows.NoHeader, "no-header", false, "leave out the names of the columns")
	f.StringVar(&o.rows.Null, "null", "", "what NULL is written as in table, csv and line")
	f.StringArrayVarP(&o.params, "param", "p", nil, "name=value for a parameter like :name; what looks like a number is one (repeatable)")
	f.BoolVar(&o.stats, "stats", false, "write requests, bytes, waves and time to standard error")
	f.Var(span{d: &o.timeout}, "timeout", "give up after this time, like 30s")
	f.Int64Var(&o.session.maxReqs, "max-reqs", 0, "fail a statement that needs more requests than this")
	sandboxFlags(cmd, &o.sandbox)
	return cmd
}

// momentFlags are those that choose a moment.
func (c *cli) momentFlags(cmd *cobra.Command, o *sessionOptions) {
	cmd.Flags().StringVarP(&o.time, "time", "t", "", `read this moment: "5 minutes ago", "yesterday 14:00", 2026-11-20T14:00:00Z, …`)
	cmd.Flags().StringVar(&o.txid, "txid", "", "read this transaction, in hexadecimal as list shows it")
}

// checkMoment refuses a moment given twice, and a transaction that is none.
func (o sessionOptions) checkMoment() error {
	if o.time != "" && o.txid != "" {
		return usagef("--time and --txid both choose a moment; give one")
	}
	if o.txid == "" || o.txid == "latest" {
		return nil
	}
	_, err := parseTXID(o.txid)
	return err
}

func (c *cli) query(ctx context.Context, replica, sql string, o queryOptions) error {
	params, err := c.checkQuery(&o)
	if err != nil {
		return err
	}
	if sql == "-" {
		text, err := io.ReadAll(c.stdin)
		if err != nil {
			return fmt.Errorf("standard input: %w", err)
		}
		sql = string(text)
	}
	if strings.TrimSpace(sql) == "" {
		return usagef("the SQL is empty")
	}
	if o.sandbox.on {
		return c.querySandboxed(ctx, replica, sql, params, o)
	}
	ctx, stop := c.interruptible(ctx)
	defer stop()
	if o.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.timeout)
		defer cancel()
	}
	o.session.poll = -1 // all statements see one state
	s, err := c.session(ctx, replica, o.session)
	if err != nil {
		return err
	}
	start := time.Now()
	err = s.Run(ctx, sql, params, sqlrun.NewWriter(c.stdout, c.screen(c.stdout), o.rows))
	if o.stats {
		err = errors.Join(err, c.queryStats(s, time.Since(start)))
	}
	return errors.Join(err, s.Close())
}

// checkQuery checks the flags that need no replica to be wrong.
func (c *cli) checkQuery(o *queryOptions) (sqlrun.Params, error) {
	if c.json && o.rows.Format == "" {
		o.rows.Format = "json"
	}
	if o.rows.Format != "" {
		if err := sqlrun.CheckFormat(o.rows.Format); err != nil {
			return nil, usagef("--format: %w", err)
		}
	}
	if o.session.maxReqs < 0 {
		return nil, usagef("--max-reqs %d: it cannot be negative", o.session.maxReqs)
	}
	params := sqlrun.Params{}
	for _, p := range o.params {
		name, value, err := sqlrun.ParseParam(p)
		if err != nil {
			return nil, usagef("--param %q: %w", p, err)
		}
		params[name] = value
	}
	return params, o.session.checkMoment()
}

// queryStats writes what opening and running cost; the context of the query may be over.
func (c *cli) queryStats(s *session, ran time.Duration) error {
	after, err := s.status(context.Background())
	if err != nil {
		return err
	}
	cost := statsBetween(litefss3.Status{}, after, ran)
	cost.Opened = s.opened.Seconds()
	return c.writeStats(c.stderr, cost)
}
