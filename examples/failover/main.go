package main

import (
	"context"
	"database/sql"
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
	"github.com/litefs-s3/litefs-s3/writer"
)

func main() {
	c := litefss3.Config{
		Write:      true,
		Durability: writer.Remote, // an answer means: in the bucket. Another machine goes on from there
		Logger:     slog.Default(),
	}
	flag.StringVar(&c.ReplicaURL, "replica", os.Getenv("LITESTREAM_REPLICA_URL"), "URL of the replica")
	flag.StringVar(&c.Owner, "name", "", "who this is, for those who look at the lease")
	flag.StringVar(&c.BufferPath, "buffer", "", "directory of the commit log; each process has its own")
	flag.DurationVar(&c.LeaseTTL, "ttl", 10*time.Second, "how long after a crash another process takes over")
	addr := flag.String("addr", "localhost:8080", "where to listen")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, c, *addr); err != nil {
		slog.Error("the service has ended", "err", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, c litefss3.Config, addr string) error {
	db, err := litefss3.OpenDB(c)
	if err != nil {
		return err
	}
	if err := open(ctx, db); err != nil {
		return errors.Join(err, db.Close())
	}
	err = serve(ctx, db, addr)
	return errors.Join(err, db.Close()) // Close gives the lease back: the other one writes at once
}

// open opens the database. After a crash its commit log may hold what was not uploaded, while another process has become the writer and gone
// on. That is told once, and the log is set aside; nobody was promised what is in it, for with durability=remote a commit that is not in
// the bucket has not returned.
func open(ctx context.Context, db *sql.DB) error {
	err := db.PingContext(ctx)
	if errors.Is(err, writer.ErrConflict) {
		slog.Warn("commits that a crash interrupted are set aside; those who asked for them were not answered", "err", err)
		err = db.PingContext(ctx)
	}
	return err
}

func serve(ctx context.Context, db *sql.DB, addr string) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Printf("listening on http://%s\n", listener.Addr())
	server := &http.Server{Handler: (&notes{db}).handler(), ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	ending, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return server.Shutdown(ending)
}
