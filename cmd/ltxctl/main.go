// Command ltxctl looks into Litestream replicas where they lie: it lists their files, draws their history, and runs SQL on any moment of
// them, without restoring anything.
package main

import (
	"context"
	"os"
)

func main() {
	os.Exit(run(context.Background(), hostSystem(), os.Args[1:]))
}
