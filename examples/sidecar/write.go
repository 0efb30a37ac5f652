package main

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	_ "github.com/ncruces/go-sqlite3/driver"
)

// write adds an event a second to a local database, as any program does that knows nothing of replicas. What Litestream asks of it: WAL mode,
// patience with locks, and no checkpoints of its own.
func write(ctx context.Context, path string) error {
	db, err := sql.Open("sqlite3", "file:"+path+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(wal)&_pragma=wal_autocheckpoint(0)")
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS events(id INTEGER PRIMARY KEY, at TEXT NOT NULL)"); err != nil {
		return fmt.Errorf("database %s: %w", path, err)
	}
	for ticker := time.NewTicker(time.Second); ; {
		if _, err := db.ExecContext(ctx, "INSERT INTO events(at) VALUES (datetime('now', 'subsec'))"); err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}
