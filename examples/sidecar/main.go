package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		slog.Error("sidecar has ended", "err", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	switch {
	case len(args) == 1 && args[0] == "write":
		return write(ctx, os.Getenv("DB_PATH"))
	case len(args) == 1 && args[0] == "read":
		return read(ctx, os.Getenv("LITESTREAM_REPLICA_URL"), os.Getenv("ADDR"))
	}
	return errors.Join(fmt.Errorf("got %q", args), errors.New("it is sidecar write, with DB_PATH, or sidecar read, with LITESTREAM_REPLICA_URL and ADDR"))
}
