package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/render"
	"github.com/litefs-s3/litefs-s3/compact"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/sidecar"
)

func (c *cli) indexCommand() *cobra.Command {
	var warm []string
	cmd := &cobra.Command{
		Use:   "index [REPLICA]",
		Short: "Write the object that makes a replica open fast",
		Long: `Index writes litefs-s3/sidecar beside the replica's files: where each page of the
newest state lies, and the upper parts of all b-trees. Whoever opens the replica
with litefs-s3 then needs one round trip instead of several, whatever its size.
Litestream takes no notice of it. When it is old it helps less; compact and
snapshot write it again.

With --warm it also holds which pages these queries read, and who opens the
replica fetches those at once. Without it the pages of last time stay.`,
		Example: `  ltxctl index s3://bucket/app
  ltxctl index s3://bucket/app --warm "SELECT * FROM settings" --warm "SELECT * FROM posts ORDER BY id DESC LIMIT 20"`,
		RunE: c.onReplica(func(ctx context.Context, url string) error { return c.index(ctx, url, warm) }),
	}
	cmd.Flags().StringArrayVar(&warm, "warm", nil, "SQL whose pages are to be fetched at once by who opens the replica (repeatable)")
	return cmd
}

func (c *cli) index(ctx context.Context, url string, warm []string) error {
	store, _, err := c.open(ctx, url)
	if err != nil {
		return err
	}
	opts := sidecar.Options{Log: c.logger(), Now: c.now}
	if len(warm) > 0 {
		if opts.Profile, err = c.touched(ctx, url, warm); err != nil {
			return err
		}
	}
	r, err := sidecar.Update(ctx, store, opts)
	if err != nil {
		return err
	}
	if c.json {
		return c.writeJSON(struct {
			Replica string `json:"replica"`
			*sidecar.Report
		}{displayURL(url), r})
	}
	_, err = fmt.Fprintf(c.stdout, "wrote %s, %s, of txid %s: page tables of %d files of %d, %s of upper pages, %d pages to fetch first\n",
		sidecar.Key, render.Bytes(r.Size), r.TXID, r.Tables, r.Files, render.Bytes(r.Packed), r.Profile)
	return err
}

// touched runs queries on a replica and returns the pages that they read.
func (c *cli) touched(ctx context.Context, url string, queries []string) (pgnos []uint32, err error) {
	db, err := litefss3.OpenDB(c.config(url))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, openError(err)
	}
	defer conn.Close()
	return litefss3.Touched(conn, "main", func() error {
		for _, q := range queries {
			if err := drain(ctx, conn, q); err != nil {
				return fmt.Errorf("--warm %q: %w", q, err)
			}
		}
		return nil
	})
}

// drain reads all rows of a query.
func drain(ctx context.Context, conn *sql.Conn, query string) error {
	rows, err := conn.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	for rows.Next() {
	}
	return errors.Join(rows.Err(), rows.Close())
}

// sidecarAfter writes the sidecar again after a run that has made files. That it cannot be written is no failure of the run.
func (c *cli) sidecarAfter(ctx context.Context, store objstore.Store, r *compact.Report, log *slog.Logger) {
	if r == nil || len(r.Made) == 0 || ctx.Err() != nil {
		return
	}
	if _, err := sidecar.Update(ctx, store, sidecar.Options{Log: c.logger(), Now: c.now}); err != nil && ctx.Err() == nil {
		log.LogAttrs(ctx, slog.LevelWarn, "sidecar not written; opening takes more requests, and nothing else", slog.Any("err", err))
	}
}
