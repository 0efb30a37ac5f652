package history_test

import (
	"context"
	"fmt"
	"log"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/history"
	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
	"github.com/litefs-s3/litefs-s3/writer"
)

func ExampleAll() {
	store := written(
		"CREATE TABLE posts(id INTEGER PRIMARY KEY, title TEXT)",
		"INSERT INTO posts(title) VALUES ('hello')",
		"CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT)",
	)
	ctx := context.Background()
	tracker, err := index.Open(ctx, store, index.Options{PollInterval: -1})
	if err != nil {
		log.Fatal(err)
	}
	timeline, err := tracker.Timeline(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for tx, err := range history.All(ctx, store, timeline, history.Window{Limit: 2}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("txid %d: %d pages written, %d in the database\n", tx.TXID, tx.Pages, tx.Commit)
	}
	// Output:
	// txid 3: 2 pages written, 3 in the database
	// txid 2: 2 pages written, 2 in the database
}

// written returns a replica that has a transaction for each statement. Elsewhere it lies in a bucket, and another program writes it.
func written(statements ...string) *memstore.Store {
	store := new(memstore.Store)
	db, err := litefss3.OpenDB(litefss3.Config{Store: store, Write: true, Durability: writer.Memory, Compaction: litefss3.CompactionOff})
	if err != nil {
		log.Fatal(err)
	}
	for _, statement := range statements {
		for _, sql := range []string{statement, "PRAGMA litestream_sync"} {
			if _, err := db.Exec(sql); err != nil {
				log.Fatal(err)
			}
		}
	}
	if err := db.Close(); err != nil {
		log.Fatal(err)
	}
	return store
}
