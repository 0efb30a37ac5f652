package world

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/ncruces/go-sqlite3/driver"

	"github.com/litefs-s3/litefs-s3/integration/servers"
)

// World is a MinIO and a bucket of one test.
type World struct {
	*servers.MinIO
	Name string // of the bucket
}

// New makes a bucket in the MinIO that all tests of the process share, and puts its credentials into the environment.
func New(t testing.TB) *World {
	t.Helper()
	minio := servers.StartMinIO(t)
	forget(t)
	minio.SetEnv(t)
	return &World{minio, minio.Bucket(t)}
}

// forget takes away what this machine says of other stores and replicas, for the rest of the test.
func forget(t testing.TB) {
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		if strings.HasPrefix(name, "AWS_") || strings.HasPrefix(name, "LITESTREAM_") {
			t.Setenv(name, "") // so that it comes back
			os.Unsetenv(name)
		}
	}
}

// URL is that of a replica in the bucket.
func (w *World) URL(prefix string) string { return w.MinIO.URL(w.Name, prefix) }

// Source is a database on the local disk that a Litestream replicates.
type Source struct {
	DB     *sql.DB
	Daemon *servers.Litestream
}

// Litestream makes an empty database and starts a Litestream that replicates it to a prefix of the bucket.
func (w *World) Litestream(t testing.TB, prefix string) *Source {
	t.Helper()
	path := filepath.Join(t.TempDir(), "app.db")
	db, err := sql.Open("sqlite3", "file:"+path+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(wal)&_pragma=wal_autocheckpoint(0)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	s := &Source{DB: db}
	s.Exec(t, "CREATE TABLE made(at TEXT)") // or Litestream has nothing to look at
	s.Daemon = servers.StartLitestream(t, servers.LitestreamOptions{
		DB: path, S3: w.S3, Bucket: w.Name, Path: prefix, MonitorInterval: 50 * time.Millisecond, SyncInterval: 100 * time.Millisecond,
	})
	return s
}

// Exec runs a statement on the source.
func (s *Source) Exec(t testing.TB, query string, args ...any) {
	t.Helper()
	if _, err := s.DB.ExecContext(t.Context(), query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// Sync waits until everything is in the bucket.
func (s *Source) Sync(t testing.TB) {
	t.Helper()
	if _, err := s.Daemon.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// Eventually asks until the answer is nil, for a minute at most.
func Eventually(t testing.TB, ask func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		err := ask()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("still so after a minute: %v", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
