package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/pitr"
)

type service struct{ db *sql.DB }

type post struct {
	ID    int64  `json:"id"`
	Title string `json:"title"`
}

func (s *service) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /posts", s.list)
	mux.HandleFunc("GET /posts/{id}", s.one)
	mux.HandleFunc("GET /health", s.health)
	return mux
}

// list answers with the newest posts.
func (s *service) list(w http.ResponseWriter, r *http.Request) {
	limit := 10
	if text := r.FormValue("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 100 {
			http.Error(w, "limit is a number from 1 to 100", http.StatusBadRequest)
			return
		}
		limit = n
	}
	s.answer(w, r, func(ctx context.Context, m moment) (any, error) {
		return readPosts(ctx, m, "SELECT id, title FROM posts ORDER BY id DESC LIMIT ?", limit)
	})
}

// one answers with a post.
func (s *service) one(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		http.Error(w, "a post has a number", http.StatusBadRequest)
		return
	}
	s.answer(w, r, func(ctx context.Context, m moment) (any, error) {
		posts, err := readPosts(ctx, m, "SELECT id, title FROM posts WHERE id = ?", id)
		if err == nil && len(posts) == 0 {
			return nil, sql.ErrNoRows
		}
		return posts, err
	})
}

func readPosts(ctx context.Context, m moment, query string, args ...any) ([]post, error) {
	rows, err := m.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	posts := []post{}
	for rows.Next() {
		var p post
		if err := rows.Scan(&p.ID, &p.Title); err != nil {
			return nil, err
		}
		posts = append(posts, p)
	}
	return posts, rows.Err()
}

// answer reads one moment and says which one it was. Who has that already is told so, and nothing is read.
func (s *service) answer(w http.ResponseWriter, r *http.Request, read func(context.Context, moment) (any, error)) {
	var body []byte
	err := at(r.Context(), s.db, r.FormValue("at"), func(m moment) error {
		etag := `"` + m.TXID + `"` // of the whole database: another transaction is another answer
		w.Header().Set("ETag", etag)
		w.Header().Set("Last-Modified", m.Time.UTC().Format(http.TimeFormat))
		w.Header().Set("Cache-Control", "no-cache") // ask again, which costs little
		if r.Header.Get("If-None-Match") == etag {
			return nil
		}
		value, err := read(r.Context(), m)
		if err != nil {
			return err
		}
		body, err = json.Marshal(value)
		return err
	})
	switch {
	case err != nil:
		fail(w, r, err)
	case body == nil:
		w.WriteHeader(http.StatusNotModified)
	default:
		w.Header().Set("Content-Type", "application/json")
		w.Write(append(body, '\n'))
	}
}

// fail turns an error into a status. What is the caller's fault is explained; the rest is for the log.
func fail(w http.ResponseWriter, r *http.Request, err error) {
	w.Header().Del("ETag")
	w.Header().Del("Last-Modified")
	switch {
	case errors.Is(err, errTime):
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	case errors.Is(err, pitr.ErrOutside):
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	case errors.Is(err, sql.ErrNoRows):
		http.Error(w, "no such post at that moment", http.StatusNotFound)
		return
	}
	slog.ErrorContext(r.Context(), "request failed", "url", r.URL.Path, "err", err)
	status := http.StatusInternalServerError
	if errors.Is(err, context.DeadlineExceeded) || r.Context().Err() != nil || errors.Is(err, objstore.ErrTemporary) {
		status = http.StatusServiceUnavailable
	}
	http.Error(w, http.StatusText(status), status)
}

// health is for a load balancer: 200 as long as the replica is followed.
func (s *service) health(w http.ResponseWriter, r *http.Request) {
	var lag float64
	err := s.db.QueryRowContext(r.Context(), "PRAGMA litestream_lag").Scan(&lag)
	if err != nil || lag > time.Minute.Seconds() {
		http.Error(w, "the replica is not followed", http.StatusServiceUnavailable)
		return
	}
	w.Write([]byte("ok\n"))
}
