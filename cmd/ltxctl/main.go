package main

import (
	"context"
	"os"
)

func main() {
	os.Exit(run(context.Background(), hostSystem(), os.Args[1:]))
}
