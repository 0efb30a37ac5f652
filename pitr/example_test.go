package pitr_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/integration/inmemory"
	"github.com/litefs-s3/litefs-s3/pitr"
)

func ExampleParse() {
	now := time.Date(2026, 11, 21, 9, 30, 0, 0, time.UTC)
	for _, phrase := range []string{"5 minutes ago", "yesterday 14:00", "2026-11-20T14:00:00+01:00", "-90s", "latest", "03/04/2026"} {
		target, err := pitr.Parse(phrase, now)
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(target)
	}
	// Output:
	// 2026-11-21T09:25:00Z
	// 2026-11-20T14:00:00Z
	// 2026-11-20T13:00:00Z
	// 2026-11-21T09:28:30Z
	// latest
	// time "03/04/2026": could be 3 April 2026 or 4 March 2026; write 2026-04-03 or 2026-03-04
}

// A moment becomes a View: by a time, or by a transaction. One that the replica does not hold is an error that says what it does hold.
func ExampleViewAt() {
	store := inmemory.Replica("CREATE TABLE posts(id INTEGER PRIMARY KEY, title TEXT)", "INSERT INTO posts(title) VALUES ('hello')")
	ctx := context.Background()
	tracker, err := index.Open(ctx, store, index.Options{PollInterval: -1})
	if err != nil {
		log.Fatal(err)
	}
	v, err := pitr.ViewAt(ctx, tracker, time.Now())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("now:", v.TXID)
	if v, err = pitr.ViewAtTXID(ctx, tracker, 1); err != nil {
		log.Fatal(err)
	}
	fmt.Println("the first:", v.TXID)
	_, err = pitr.ViewAt(ctx, tracker, time.Now().Add(-24*time.Hour))
	fmt.Println("yesterday:", errors.Is(err, pitr.ErrOutside))
	// Output:
	// now: 0000000000000002
	// the first: 0000000000000001
	// yesterday: true
}
