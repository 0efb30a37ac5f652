package main

import (
	"context"
	"errors"
	"flag"
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
	replica := flag.String("replica", os.Getenv("LITESTREAM_REPLICA_URL"), "URL of the replica")
	addr := flag.String("addr", "localhost:8080", "where to listen")
	deadline := flag.Duration("deadline", 5*time.Second, "how long an answer may take")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *replica, *addr, *deadline); err != nil {
		slog.Error("the service has ended", "err", err)
		os.Exit(1)
	}
}

// run serves until ctx ends, and then lets the requests under way finish.
func run(ctx context.Context, replica, addr string, deadline time.Duration) error {
	db, err := litefss3.OpenDB(litefss3.Config{ReplicaURL: replica, ReadOnly: true, Logger: slog.Default()})
	if err != nil {
		return err
	}
	defer db.Close()
	if err := db.PingContext(ctx); err != nil { // a wrong URL ends the program, and not the first request
		return err
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Printf("listening on http://%s\n", listener.Addr())
	server := &http.Server{Handler: within(deadline, (&service{db}).handler()), ReadHeaderTimeout: deadline}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	ending, cancel := context.WithTimeout(context.Background(), 2*deadline)
	defer cancel()
	return errors.Join(server.Shutdown(ending), db.Close())
}

// within gives each request a deadline. It reaches the requests to the store: when it is over, they end.
func within(limit time.Duration, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), limit)
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}
