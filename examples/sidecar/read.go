package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/index"
)

// read serves the newest events out of the bucket.
func read(ctx context.Context, replica, addr string) error {
	db, err := litefss3.OpenDB(litefss3.Config{ReplicaURL: replica, ReadOnly: true, Logger: slog.Default()})
	if err != nil {
		return err
	}
	defer db.Close()
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Printf("listening on http://%s\n", listener.Addr())
	server := &http.Server{Handler: events(db), ReadHeaderTimeout: 10 * time.Second}
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

// answer is what GET /events says.
type answer struct {
	Count  int     `json:"count"`
	Newest string  `json:"newest"`
	Age    float64 `json:"age"` // of the newest transaction, in seconds
}

// events answers GET /events. Until Litestream has made the replica there is nothing to read, which is no fault of the caller.
func events(db *sql.DB) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 10*time.Second)
		defer cancel()
		switch a, err := ask(ctx, db); {
		case errors.Is(err, index.ErrNoReplica):
			http.Error(w, "nothing is in the bucket yet", http.StatusServiceUnavailable)
		case err != nil:
			slog.ErrorContext(ctx, "request failed", "err", err)
			http.Error(w, "the replica cannot be read now", http.StatusServiceUnavailable)
		default:
			w.Header().Set("Content-Type", "application/json")
			json.NewEncoder(w).Encode(a)
		}
	})
	return mux
}

func ask(ctx context.Context, db *sql.DB) (a answer, err error) {
	err = db.QueryRowContext(ctx, "SELECT count(*), coalesce(max(at), '') FROM events").Scan(&a.Count, &a.Newest)
	if err == nil {
		err = db.QueryRowContext(ctx, "PRAGMA litestream_data_age").Scan(&a.Age)
	}
	return a, err
}
