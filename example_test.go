package litefss3_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/integration/inmemory"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
	"github.com/litefs-s3/litefs-s3/writer"
)

// One connection writes and others read. Here the replica lies in memory; elsewhere ReplicaURL says where it lies.
func ExampleOpenDB() {
	db, err := litefss3.OpenDB(litefss3.Config{Store: new(memstore.Store), Write: true, Durability: writer.Memory})
	if err != nil {
		log.Fatal(err)
	}
	for _, sql := range []string{
		"CREATE TABLE posts(id INTEGER PRIMARY KEY, title TEXT)",
		"INSERT INTO posts(title) VALUES ('hello'), ('world')",
		"PRAGMA litestream_sync", // now, and not within the next second
	} {
		if _, err := db.Exec(sql); err != nil {
			log.Fatal(err)
		}
	}
	var posts, pending int
	if err := db.QueryRow("SELECT count(*) FROM posts").Scan(&posts); err != nil {
		log.Fatal(err)
	}
	if err := db.QueryRow("PRAGMA litestream_pending").Scan(&pending); err != nil {
		log.Fatal(err)
	}
	fmt.Println(posts, "posts;", pending, "commits are not in the bucket yet")
	if err := db.Close(); err != nil { // uploads what is left
		log.Fatal(err)
	}
	// Output: 2 posts; 0 commits are not in the bucket yet
}

// A connection goes to an earlier transaction and back. Times are set in the same way: PRAGMA litestream_time = '5 minutes ago'.
func ExampleOpenDB_timeTravel() {
	db, err := litefss3.OpenDB(litefss3.Config{Store: inmemory.Replica(
		"CREATE TABLE posts(id INTEGER PRIMARY KEY, title TEXT)",
		"INSERT INTO posts(title) VALUES ('hello')",
		"DELETE FROM posts",
	), ReadOnly: true})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	ctx := context.Background()
	conn, err := db.Conn(ctx) // a time belongs to a connection
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	for _, txid := range []string{"2", "latest"} {
		if _, err := conn.ExecContext(ctx, fmt.Sprintf("PRAGMA litestream_txid = '%s'", txid)); err != nil {
			log.Fatal(err)
		}
		var posts int
		if err := conn.QueryRowContext(ctx, "SELECT count(*) FROM posts").Scan(&posts); err != nil {
			log.Fatal(err)
		}
		fmt.Println("txid", txid, "has", posts)
	}
	// Output:
	// txid 2 has 1
	// txid latest has 0
}

// A registered name opens without a long URI, and what it refers to can be attached: here two moments of one database.
func ExampleRegister() {
	store := inmemory.Replica("CREATE TABLE posts(id INTEGER PRIMARY KEY, title TEXT)", "INSERT INTO posts VALUES (1, 'hello')", "UPDATE posts SET title = 'goodbye'")
	if err := litefss3.Register("blog", litefss3.Config{Store: store, ReadOnly: true}); err != nil {
		log.Fatal(err)
	}
	defer litefss3.Unregister("blog")
	db, err := sql.Open("sqlite3", "file:blog?vfs=litefs-s3")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1) // what is attached belongs to a connection
	if _, err := db.Exec("ATTACH 'file:blog?vfs=litefs-s3&txid=2' AS past"); err != nil {
		log.Fatal(err)
	}
	var before, now string
	if err := db.QueryRow("SELECT past.posts.title, main.posts.title FROM past.posts JOIN main.posts USING (id)").Scan(&before, &now); err != nil {
		log.Fatal(err)
	}
	fmt.Println(before, "→", now)
	// Output: hello → goodbye
}
