package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
)

func main() {
	replica := flag.String("replica", os.Getenv("LITESTREAM_REPLICA_URL"), "URL of the replica")
	from := flag.String("from", "1 hour ago", "the earlier moment")
	to := flag.String("to", "latest", "the later one")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *replica, *from, *to, flag.Args()); err != nil {
		slog.Error("diff has ended", "err", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, replica, from, to string, tables []string) error {
	if len(tables) == 0 {
		return errors.New("which tables? name them after the flags")
	}
	conn, err := attach(ctx, replica, from, to)
	if err != nil {
		return err
	}
	defer conn.Close()
	for _, table := range tables {
		changes, err := compare(ctx, conn, table)
		if err != nil {
			return fmt.Errorf("table %s: %w", table, err)
		}
		for _, c := range changes {
			fmt.Printf("%s %s %s: %s -> %s\n", c.Kind, table, c.Key, c.Before, c.After)
		}
	}
	return nil
}
