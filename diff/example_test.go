package diff_test

import (
	"context"
	"fmt"
	"log"

	"github.com/litefs-s3/litefs-s3/bulk"
	"github.com/litefs-s3/litefs-s3/diff"
	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/integration/inmemory"
	"github.com/litefs-s3/litefs-s3/pitr"
)

// What has changed since the second transaction? The page tables tell which pages, and the b-trees whose they are.
func Example() {
	store := inmemory.Replica(
		"CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT)",
		"CREATE TABLE posts(id INTEGER PRIMARY KEY, title TEXT)",
		"INSERT INTO posts(title) VALUES ('hello')",
	)
	ctx := context.Background()
	held := new(bulk.Held)
	tracker, err := index.Open(ctx, store, index.Options{PollInterval: -1, OnLoad: held.Keep})
	if err != nil {
		log.Fatal(err)
	}
	from, err := pitr.ViewAtTXID(ctx, tracker, 2)
	if err != nil {
		log.Fatal(err)
	}
	to := tracker.View()
	pages, err := diff.Between(ctx, tracker, from, to)
	if err != nil {
		log.Fatal(err)
	}
	forest, err := diff.Trees(ctx, bulk.Source{Store: store, Mover: tracker, Held: held}, to, pages.Later())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("pages:", pages.Changed)
	for _, tree := range forest.Trees {
		fmt.Printf("%s %s: %d\n", tree.Type, tree.Name, tree.Pages)
	}
	// Output:
	// pages: [1 3]
	// table sqlite_schema: 1
	// table posts: 1
}
