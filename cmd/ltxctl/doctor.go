package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/diagnose"
	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/render"
	"github.com/litefs-s3/litefs-s3/objstore"
)

func (c *cli) doctorCommand() *cobra.Command {
	var write bool
	cmd := &cobra.Command{
		Use:   "doctor [REPLICA]",
		Short: "Find out why a replica cannot be opened, step by step",
		Long: `Doctor checks one thing after another: the URL, credentials, the way to the
endpoint, the clock, the rights to list and get, the replica and its chain of
files, and that SQLite reads it. With --write it also puts a scratch object,
checks that the store honours create-only puts, on which writers rely, and
removes it. Each failure comes with what to do. Credentials are never shown.`,
		Example: "  ltxctl doctor s3://bucket/app\n  ltxctl doctor s3://bucket/app --write",
		RunE: func(cmd *cobra.Command, args []string) error {
			replica, err := c.doctorReplica(args)
			if err != nil {
				return err
			}
			ctx, stop := c.interruptible(cmd.Context())
			defer stop()
			return c.doctor(ctx, replica, write)
		},
	}
	cmd.Flags().BoolVar(&write, "write", false, "also try to put, to create twice, and to delete a scratch object")
	return cmd
}

// doctorReplica takes the replica as the other commands do, but lets the doctor say what is wrong with the URL.
func (c *cli) doctorReplica(args []string) (string, error) {
	replica, _, err := c.replicaArg(args, 0)
	if replica != "" {
		err = nil
	}
	return replica, err
}

func (c *cli) doctor(ctx context.Context, replica string, write bool) error {
	d := &diagnose.Doctor{
		Replica: replica, Shown: displayURL(replica), Getenv: c.getenv, Now: c.now, Write: write,
		Open: func(ctx context.Context) (objstore.Store, error) {
			store, _, err := c.open(ctx, replica)
			return store, err
		},
		Query: func(ctx context.Context, sql string) (rows []string, err error) {
			s, err := c.session(ctx, replica, sessionOptions{poll: -1})
			if err != nil {
				return nil, err
			}
			defer func() { err = errors.Join(err, s.Close()) }()
			return s.Strings(ctx, sql)
		},
	}
	if c.store == nil {
		d.HTTP = probe()
	}
	screen := c.screen(c.stdout)
	var results []diagnose.Result
	failed := false
	for r := range d.Run(ctx) {
		results = append(results, r)
		if !c.json && !failed {
			c.writeResult(screen, r)
		}
		failed = failed || r.Status == diagnose.Fail
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if c.json {
		if err := c.writeJSON(results); err != nil {
			return err
		}
	}
	return c.verdict(screen, results)
}

// probe is a client for one request that holds no secret. Certificates are not its matter: the requests that count check them.
func probe() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	transport.DisableKeepAlives = true
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (c *cli) writeResult(screen render.Screen, r diagnose.Result) {
	mark := map[diagnose.Status]string{
		diagnose.OK: screen.Paint(render.Good, "ok  "), diagnose.Warn: screen.Paint(render.Warning, "warn"),
		diagnose.Fail: screen.Paint(render.Bad, "FAIL"), diagnose.Skipped: screen.Paint(render.Dim, "-   "),
	}[r.Status]
	const indent = "                     "
	detail := screen.Wrap(r.Detail, indent)[len(indent):]
	if r.Status == diagnose.Skipped {
		detail = screen.Paint(render.Dim, detail)
	}
	fmt.Fprintf(c.stdout, "  %s  %-11s  %s\n", mark, r.Name, detail)
	if r.Todo != "" {
		fmt.Fprintf(c.stdout, "%s\n", screen.Wrap("→ "+c.complete(r.Todo), indent))
	}
}

// verdict sums up, and returns the error that gives the exit code: that of the first failure.
func (c *cli) verdict(screen render.Screen, results []diagnose.Result) error {
	warnings := 0
	for i, r := range results {
		switch r.Status {
		case diagnose.Warn:
			warnings++
		case diagnose.Fail:
			return c.failure(results, i)
		}
	}
	if c.json || len(results) == 0 {
		return nil
	}
	text := screen.Paint(render.Good, "all is well")
	if warnings > 0 {
		text = screen.Paint(render.Warning, render.Count(warnings, "warning"))
	}
	_, err := fmt.Fprintf(c.stdout, "\n  %s\n", text)
	return err
}

// failure is the error for results whose first failure is the i-th.
func (c *cli) failure(results []diagnose.Result, i int) error {
	if rest := len(results) - i - 1; rest > 0 && !c.json {
		fmt.Fprintf(c.stdout, "\n  %s not tried; mend this first\n", render.Count(rest, "more check"))
	}
	code, _ := classify(results[i].Err)
	if i == 0 { // the URL
		code = exitUsage
	}
	return &reported{code}
}
