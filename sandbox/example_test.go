package sandbox_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/litefs-s3/litefs-s3/integration/inmemory"
	"github.com/litefs-s3/litefs-s3/sandbox"
)

// Statements of strangers, one after the other, each within limits. Programs that were built with -tags sandbox_embed need no Module.
func Example() {
	store := inmemory.Replica("CREATE TABLE posts(id INTEGER PRIMARY KEY, title TEXT)", "INSERT INTO posts(title) VALUES ('hello'), ('world')")
	ctx := context.Background()
	sb, err := sandbox.Options{Module: module, Limits: sandbox.Limits{Rows: 100, Time: time.Minute}}.Open(ctx, store)
	if err != nil {
		log.Fatal(err)
	}
	defer sb.Close()
	for _, statement := range []string{
		"SELECT id, title FROM posts WHERE id > ?",
		"DELETE FROM posts WHERE id > ?",
		"WITH RECURSIVE n(i) AS (VALUES(?) UNION ALL SELECT i+1 FROM n) SELECT i FROM n",
	} {
		rows, err := sb.Query(ctx, statement, 1)
		if err != nil {
			fmt.Println("denied:", errors.Is(err, sandbox.ErrDenied))
			continue
		}
		count := 0
		for rows.Next() {
			if count++; count == 1 {
				fmt.Println(rows.Columns(), rows.Values())
			}
		}
		fmt.Println(count, "rows; too many:", errors.Is(rows.Err(), sandbox.ErrRows))
		rows.Close()
	}
	// Output:
	// [id title] [2 world]
	// 1 rows; too many: false
	// denied: true
	// [i] [1]
	// 100 rows; too many: true
}
