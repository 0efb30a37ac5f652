package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/ncruces/go-sqlite3"

	litefss3 "github.com/litefs-s3/litefs-s3"
)

type notes struct{ db *sql.DB }

func (n *notes) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /notes/{id}", n.put)
	mux.HandleFunc("GET /notes", n.list)
	return mux
}

// put makes a note. It may be asked twice for the same one: a client whose answer was lost cannot know.
func (n *notes) put(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	text, rerr := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<16))
	if err != nil || rerr != nil {
		http.Error(w, "a note has a number and at most 64 KiB", http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), 30*time.Second)
	defer cancel()
	switch err := n.insert(ctx, id, string(text)); {
	case err == nil:
		w.WriteHeader(http.StatusNoContent)
	case errors.Is(err, sqlite3.READONLY), errors.Is(err, sqlite3.BUSY):
		w.Header().Set("Retry-After", "1")
		http.Error(w, err.Error(), http.StatusServiceUnavailable) // the cause names who writes
	default: // also: stored or not, we could not find out in time
		slog.ErrorContext(ctx, "note not stored", "id", id, "err", err)
		http.Error(w, "the note may or may not be stored; send it again", http.StatusBadGateway)
	}
}

// insert is one transaction, and makes the table when there is none.
func (n *notes) insert(ctx context.Context, id int64, text string) error {
	conn, err := n.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	err = insert(ctx, conn, id, text)
	if errors.Is(err, sqlite3.READONLY) || errors.Is(err, sqlite3.IOERR) {
		return fmt.Errorf("%w: %w", err, litefss3.Cause(conn, "main"))
	}
	return err
}

func insert(ctx context.Context, conn *sql.Conn, id int64, text string) error {
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS notes(id INTEGER PRIMARY KEY, text TEXT NOT NULL, times INTEGER NOT NULL DEFAULT 1)"); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO notes(id, text) VALUES (?, ?) ON CONFLICT DO UPDATE SET text = excluded.text, times = times + 1", id, text)
	if err != nil {
		return err
	}
	return tx.Commit()
}

// list answers with all notes. Also a process that may not write follows the one that does.
func (n *notes) list(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 30*time.Second)
	defer cancel()
	var all []byte
	err := n.db.QueryRowContext(ctx, "SELECT json_group_object(id, text) FROM notes").Scan(&all)
	if err != nil {
		slog.ErrorContext(ctx, "notes not read", "err", err)
		http.Error(w, "the notes cannot be read now", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(all)
}
