package history_test

import (
	"context"
	"fmt"
	"log"

	"github.com/litefs-s3/litefs-s3/history"
	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/integration/inmemory"
)

func ExampleAll() {
	store := inmemory.Replica(
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
