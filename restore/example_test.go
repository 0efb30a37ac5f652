package restore_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"os"
	"path/filepath"

	_ "github.com/ncruces/go-sqlite3/driver"

	"github.com/litefs-s3/litefs-s3/bulk"
	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/integration/inmemory"
	"github.com/litefs-s3/litefs-s3/restore"
)

// The newest state of a replica becomes an ordinary file. For an earlier one pass the View of [pitr.ViewAt].
func ExampleFile() {
	store := inmemory.Replica("CREATE TABLE posts(id INTEGER PRIMARY KEY, title TEXT)", "INSERT INTO posts(title) VALUES ('hello'), ('world')")
	dir, err := os.MkdirTemp("", "litefs-s3-example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "app.db")

	ctx := context.Background()
	held := new(bulk.Held) // what opening brings need not be fetched again
	tracker, err := index.Open(ctx, store, index.Options{PollInterval: -1, OnLoad: held.Keep})
	if err != nil {
		log.Fatal(err)
	}
	src := bulk.Source{Store: store, Mover: tracker, Held: held}
	report, err := restore.File(ctx, src, tracker.View(), path, restore.Options{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("txid", report.TXID, "has", report.Pages, "pages")

	db, err := sql.Open("sqlite3", "file:"+path)
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	var posts int
	if err := db.QueryRow("SELECT count(*) FROM posts").Scan(&posts); err != nil {
		log.Fatal(err)
	}
	fmt.Println(posts, "posts")
	// Output:
	// txid 0000000000000002 has 2 pages
	// 2 posts
}
