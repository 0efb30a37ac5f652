package main

import (
	"database/sql"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
)

// handler answers GET /users/{id} with a user and how many posts that one has written.
func handler(db *sql.DB) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /users/{id}", func(w http.ResponseWriter, r *http.Request) {
		id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
		if err != nil {
			http.Error(w, "a user has a number", http.StatusBadRequest)
			return
		}
		var body []byte
		err = db.QueryRowContext(r.Context(), `
			SELECT json_object('id', id, 'name', name, 'posts', (SELECT count(*) FROM posts WHERE user_id = users.id))
			FROM users WHERE id = ?`, id).Scan(&body)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			http.Error(w, "no such user", http.StatusNotFound)
		case err != nil:
			slog.ErrorContext(r.Context(), "request failed", "id", id, "err", err)
			http.Error(w, "the database cannot be read now", http.StatusServiceUnavailable)
		default:
			w.Header().Set("Content-Type", "application/json")
			w.Write(body)
		}
	})
	return mux
}
