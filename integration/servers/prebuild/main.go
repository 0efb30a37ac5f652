// Command prebuild builds the servers that the integration tests need, if this machine has not done so yet, so that the
// minutes it takes are seen and do not count against a test's time limit:
//
//	go run ./integration/servers/prebuild
//	go run ./integration/servers/prebuild -peers   # and what benchmarks compare with, which takes a C compiler
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"

	"github.com/litefs-s3/litefs-s3/integration/servers"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	peers := flag.Bool("peers", false, "build what benchmarks compare with, too")
	flag.Parse()
	names := servers.Names()
	if *peers {
		names = append(names, servers.Peers()...)
	}
	for _, name := range names {
		path, err := servers.Build(ctx, name)
		if errors.Is(err, servers.ErrNoCompiler) {
			fmt.Fprintf(os.Stderr, "prebuild %s: %v; the comparison leaves it out\n", name, err)
			continue
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "prebuild %s: %v\n", name, err)
			os.Exit(1)
		}
		fmt.Println(path)
	}
}
