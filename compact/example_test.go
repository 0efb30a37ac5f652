package compact_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/litefs-s3/litefs-s3/compact"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

// A database becomes a replica, and an hour later there is nothing to do: one file holds all there is.
func Example() {
	path := fmt.Sprintf("%s/litefs-s3-example-%d.db", os.TempDir(), os.Getpid())
	defer os.Remove(path)
	db, err := sqlite3.Open(path)
	if err != nil {
		log.Fatal(err)
	}
	if err := db.Exec("CREATE TABLE t(x)"); err != nil {
		log.Fatal(err)
	}
	if err := db.Close(); err != nil {
		log.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		log.Fatal(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		log.Fatal(err)
	}

	ctx := context.Background()
	c, err := compact.New(new(memstore.Store), compact.Options{Now: func() time.Time { return time.Now().Add(time.Hour) }})
	if err != nil {
		log.Fatal(err)
	}
	report, err := c.Push(ctx, compact.Image{ReaderAt: file, Size: info.Size()})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("pages:", report.Made[0].Pages)
	plan, err := c.Plan(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("nothing to do:", plan.Idle(), "newest transaction:", plan.Head)
	// Output:
	// pages: 2
	// nothing to do: true newest transaction: 0000000000000001
}
