// Command prebuild builds the servers that the integration tests need, if this machine has not done so yet, so that the
// minutes it takes are seen and do not count against a test's time limit:
//
//	go run ./integration/servers/prebuild
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/litefs-s3/litefs-s3/integration/servers"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	for _, name := range servers.Names() {
		path, err := servers.Build(ctx, name)
		if err != nil {
			fmt.Fprintf(os.Stderr, "prebuild %s: %v\n", name, err)
			os.Exit(1)
		}
		fmt.Println(path)
	}
}
