package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "plot: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	flags := flag.NewFlagSet("plot", flag.ContinueOnError)
	in := flags.String("in", "docs/peers.json", "`file` that bench -json has written")
	out := flags.String("out", "docs", "`directory` for the SVG files")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return err
	case flags.NArg() > 0:
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	found, err := readMeasured(*in)
	if err != nil {
		return err
	}
	for _, c := range found.charts() {
		path := filepath.Join(*out, c.file)
		if err := os.WriteFile(path, c.svg(), 0o644); err != nil {
			return err
		}
		fmt.Println(path)
	}
	return nil
}
