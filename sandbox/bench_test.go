package sandbox_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/ncruces/go-sqlite3"

	"github.com/litefs-s3/litefs-s3/sandbox"
)

// benchmarked are three kinds of work: SQLite's own instructions, pages and rows, and sorting.
var benchmarked = []struct{ name, sql string }{
	{"lookup", "SELECT p.title, u.name FROM posts p JOIN users u ON u.id = p.user_id WHERE p.id = 1234"},
	{"scan", "SELECT count(*), sum(length(body)) FROM posts WHERE title LIKE '%a%'"},
	{"sort", "SELECT body FROM posts ORDER BY body DESC LIMIT 10"},
	{"recursion", "WITH RECURSIVE c(n) AS (VALUES(1) UNION ALL SELECT n+1 FROM c LIMIT 100000) SELECT sum(n*n % 7) FROM c"},
}

// BenchmarkQuery is the same statement in the sandbox and on a plain file, with everything in memory.
func BenchmarkQuery(b *testing.B) {
	sb := open(b, sandbox.Options{PollInterval: -1, Limits: sandbox.Limits{Time: -1}})
	path := filepath.Join(b.TempDir(), "image.db")
	if err := os.WriteFile(path, theReplica(b).image, 0o600); err != nil {
		b.Fatal(err)
	}
	db, err := sqlite3.Open("file:" + path + "?mode=ro")
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	for _, c := range benchmarked {
		b.Run("query="+c.name+"/in=sandbox", func(b *testing.B) {
			for b.Loop() {
				if _, err := all(b.Context(), sb, c.sql); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("query="+c.name+"/in=file", func(b *testing.B) {
			for b.Loop() {
				stmt, _, err := db.Prepare(c.sql)
				if err != nil {
					b.Fatal(err)
				}
				for stmt.Step() {
				}
				if err := stmt.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkOpen is what it takes to begin: with the machine code in a directory, and with it in the process.
func BenchmarkOpen(b *testing.B) {
	store := theReplica(b).store
	openOnce := func(b *testing.B, o sandbox.Options) {
		o.Module, o.Instances = module, 1
		sb, err := o.Open(b.Context(), store)
		if err != nil {
			b.Fatal(err)
		}
		sb.Close()
	}
	b.Run("code=compiled", func(b *testing.B) {
		for b.Loop() {
			openOnce(b, sandbox.Options{CacheDir: b.TempDir()})
		}
	})
	b.Run("code=on-disk", func(b *testing.B) {
		for b.Loop() {
			openOnce(b, sandbox.Options{})
		}
	})
	b.Run("code=in-process", func(b *testing.B) {
		other := open(b, sandbox.Options{})
		defer other.Close()
		for b.Loop() {
			openOnce(b, sandbox.Options{})
		}
	})
}
