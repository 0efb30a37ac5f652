package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	litefss3 "github.com/litefs-s3/litefs-s3"
)

func main() {
	all := tenants{pools: map[string]*sql.DB{}}
	flag.StringVar(&all.replicas, "replicas", "", "URL of the replicas, like s3://bucket/tenants/{tenant}")
	flag.Int64Var(&all.cache, "cache", 256<<20, "memory for pages of all tenants, in bytes")
	flag.DurationVar(&all.idle, "idle", 5*time.Minute, "how long an unused database stays open")
	addr := flag.String("addr", "localhost:8080", "where to listen")
	flag.Parse()
	if !strings.Contains(all.replicas, "{tenant}") {
		slog.Error("-replicas needs {tenant} in it: s3://bucket/tenants/{tenant}", "replicas", all.replicas)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, *addr, &all); err != nil {
		slog.Error("the service has ended", "err", err)
		os.Exit(1)
	}
}

func serve(ctx context.Context, addr string, all *tenants) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Printf("listening on http://%s\n", listener.Addr())
	server := &http.Server{Handler: all.handler(), ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	ending, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return errors.Join(server.Shutdown(ending), all.close())
}

func (t *tenants) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{tenant}/notes", t.notes)
	mux.HandleFunc("GET /status", t.status)
	return mux
}

// notes answers with the tenant's notes.
func (t *tenants) notes(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 30*time.Second)
	defer cancel()
	var notes []byte
	err := t.ask(ctx, r.PathValue("tenant"), func(db *sql.DB) error {
		return db.QueryRowContext(ctx, "SELECT json_group_array(text ORDER BY id) FROM notes").Scan(&notes)
	})
	switch {
	case errors.Is(err, errUnknown):
		http.Error(w, errUnknown.Error(), http.StatusNotFound)
	case err != nil:
		slog.ErrorContext(ctx, "request failed", "tenant", r.PathValue("tenant"), "err", err)
		http.Error(w, "the tenant's database cannot be read now", http.StatusServiceUnavailable)
	default:
		w.Header().Set("Content-Type", "application/json")
		w.Write(append(notes, '\n'))
	}
}

// status says what all of them take.
func (t *tenants) status(w http.ResponseWriter, _ *http.Request) {
	var s struct {
		Known int   `json:"known"`       // tenants that were asked for
		Open  int   `json:"open"`        // of them, those whose replica is followed now
		Cache int64 `json:"cache_bytes"` // pages in memory
	}
	s.Known = t.known()
	for _, open := range litefss3.OpenDatabases() {
		s.Open++
		s.Cache = open.Status().Cache.Used // of the process: each says the same
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(s)
}
