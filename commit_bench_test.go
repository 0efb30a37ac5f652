package litefss3_test

import (
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
	"github.com/litefs-s3/litefs-s3/writer"
)

// BenchmarkCommit commits single rows, here and on a plain file with a write-ahead log that syncs as often.
func BenchmarkCommit(b *testing.B) {
	for _, d := range []writer.Durability{writer.Memory, writer.Local} {
		b.Run("durability="+d.String(), func(b *testing.B) {
			db := open(b, new(memstore.Store), writing(b), func(c *litefss3.Config) {
				c.ReplicaURL += d.String()
				c.Durability = d
				c.SyncInterval = time.Second
			})
			commitRows(b, db)
		})
		b.Run("plain="+d.String(), func(b *testing.B) {
			synchronous := map[writer.Durability]string{writer.Memory: "off", writer.Local: "full"}[d]
			db, err := sql.Open("sqlite3", "file:"+filepath.Join(b.TempDir(), "plain.db")+"?_pragma=journal_mode(wal)&_pragma=synchronous("+synchronous+")")
			if err != nil {
				b.Fatal(err)
			}
			defer db.Close()
			commitRows(b, db)
		})
	}
}

func commitRows(b *testing.B, db *sql.DB) {
	db.SetMaxOpenConns(1)
	execute(b, db, "CREATE TABLE t(id INTEGER PRIMARY KEY, who INTEGER, x TEXT)", "CREATE INDEX t_who ON t(who)")
	stmt, err := db.Prepare("INSERT INTO t(who, x) VALUES (?, hex(randomblob(50)))")
	if err != nil {
		b.Fatal(err)
	}
	defer stmt.Close()
	n := 0
	for b.Loop() {
		n++
		if _, err := stmt.Exec(n % 1000); err != nil {
			b.Fatal(err)
		}
	}
}
