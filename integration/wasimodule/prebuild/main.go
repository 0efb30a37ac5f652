// Command prebuild builds the WASI module, if this source was not built yet, and copies it to where -o says:
//
//	go run ./integration/wasimodule/prebuild -o sandbox/guest/litefs-s3.wasm.gz
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"

	"github.com/litefs-s3/litefs-s3/integration/wasimodule"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	to := flag.String("o", "", "copy the module here")
	flag.Parse()
	path, err := prebuild(ctx, *to)
	if err != nil {
		fmt.Fprintf(os.Stderr, "prebuild: %v\n", err)
		os.Exit(1)
	}
	fmt.Println(path)
}

func prebuild(ctx context.Context, to string) (string, error) {
	path, err := wasimodule.File(ctx)
	if err != nil || to == "" {
		return path, err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	return to, os.WriteFile(to, b, 0o644)
}
