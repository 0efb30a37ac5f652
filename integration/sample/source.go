package sample

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"path/filepath"
	"time"

	_ "github.com/ncruces/go-sqlite3/driver" // "sqlite3" for database/sql
)

// OpenSource opens the database at path as an application does whose database Litestream replicates: WAL mode, no
// checkpoints of its own, ten seconds of patience with locks. It makes the file if it is not there.
func OpenSource(path string) (*sql.DB, error) {
	db, err := sql.Open("sqlite3", fileURI(path)+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(wal)"+
		"&_pragma=synchronous(normal)&_pragma=wal_autocheckpoint(0)&_txlock=immediate")
	if err != nil {
		return nil, err
	}
	if err := db.Ping(); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), db.Close())
	}
	return db, nil
}

// Touch applies n small transactions to a sample, gap apart. Each adds a post and a like and changes an older post and a
// user: about ten pages. What they write depends on nothing but the rows that are there, and on gap not at all.
func Touch(ctx context.Context, db *sql.DB, n int, gap time.Duration) error {
	var last int64
	if err := db.QueryRowContext(ctx, "SELECT max(id) FROM posts").Scan(&last); err != nil {
		return fmt.Errorf("touch: %w", err)
	}
	rng := rand.New(rand.NewPCG(uint64(last), 2))
	for i := range n {
		if err := touchOnce(ctx, db, rng); err != nil {
			return fmt.Errorf("touch %d of %d: %w", i+1, n, err)
		}
		if gap <= 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(gap):
		}
	}
	return nil
}

// touches are the statements of one small transaction.
var touches = []string{
	`INSERT INTO posts(user_id, title, body, created_at)
	 SELECT 1 + (:a % (SELECT max(id) FROM users)), 'touch '||id, :text, created_at+7
	 FROM posts WHERE id = (SELECT max(id) FROM posts)`,
	`INSERT OR IGNORE INTO likes VALUES(1 + (:b % (SELECT max(id) FROM users)), (SELECT max(id) FROM posts))`,
	`UPDATE posts SET title = title||'.' WHERE id = 1 + (:c % (SELECT max(id) FROM posts))`,
	`UPDATE users SET name = name||'.' WHERE id = 1 + (:a % (SELECT max(id) FROM users))`,
}

func touchOnce(ctx context.Context, db *sql.DB, rng *rand.Rand) error {
	args := []any{
		sql.Named("a", rng.Uint32()), sql.Named("b", rng.Uint32()), sql.Named("c", rng.Uint32()),
		sql.Named("text", string(touchWords().append(rng, nil, 400))),
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	for _, stmt := range touches {
		if _, err := tx.ExecContext(ctx, stmt, args...); err != nil {
			return errors.Join(err, tx.Rollback())
		}
	}
	return tx.Commit()
}

// fileURI is path as SQLite's URI syntax wants it.
func fileURI(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	return (&url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(path)}).String()
}
