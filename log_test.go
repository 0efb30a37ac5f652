package litefss3_test

import (
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	litefss3 "github.com/litefs-s3/litefs-s3"
)

// logTo returns a logger that hands each line to fn.
func logTo(fn func(line string)) *slog.Logger {
	return slog.New(slog.NewTextHandler(lineWriter(fn), nil))
}

// A line says once which replica it is about, whichever part of the program writes it.
func TestLog_SaysTheReplicaOnce(t *testing.T) {
	t.Parallel()
	p := newPrimary(t, 100)
	lines := make(chan string, 1000)
	db := open(t, p.Store, hydrated(filepath.Join(t.TempDir(), "app.db")), func(c *litefss3.Config) {
		c.Logger = logTo(func(line string) { lines <- line })
	})
	hydrateNow(t, db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	close(lines)
	copies := 0
	for line := range lines {
		if strings.Count(line, " replica=") != 1 {
			t.Errorf("%s", line)
		}
		if strings.Contains(line, "local copy") {
			copies++
		}
	}
	if copies == 0 {
		t.Error("the local copy says nothing")
	}
}
