package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	litefss3 "github.com/litefs-s3/litefs-s3"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Getenv("AWS_LAMBDA_RUNTIME_API"), os.Getenv("PORT")); err != nil {
		slog.Error("the function has ended", "err", err)
		os.Exit(1)
	}
}

// run opens the replica of LITESTREAM_REPLICA_URL when the first request comes, and answers until ctx ends.
func run(ctx context.Context, runtimeAPI, port string) error {
	db, err := litefss3.OpenDB(litefss3.Config{
		ReplicaURL: os.Getenv("LITESTREAM_REPLICA_URL"),
		ReadOnly:   true,
		StaleAfter: 2 * time.Second, // who was frozen looks for news first
		CacheSize:  32 << 20,        // memory is what a function pays for
	})
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(4)
	if runtimeAPI != "" {
		return (&lambda{api: runtimeAPI, handler: handler(db)}).serve(ctx)
	}
	return listen(ctx, port, db)
}

func listen(ctx context.Context, port string, db *sql.DB) error {
	listener, err := net.Listen("tcp", ":"+port)
	if err != nil {
		return err
	}
	fmt.Printf("listening on http://localhost:%d\n", listener.Addr().(*net.TCPAddr).Port)
	server := &http.Server{Handler: handler(db), ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	ending, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return errors.Join(server.Shutdown(ending), db.Close())
}
