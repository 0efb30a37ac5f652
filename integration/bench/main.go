package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// Rows of posts in the samples.
const (
	smallPosts = 180_000   // 109 MB
	largePosts = 1_750_000 // 1.07 GB
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	childMain(ctx)
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

// options are what the command line says.
type options struct {
	plan
	json     string
	benchfmt bool
}

func parseFlags(args []string) (*options, error) {
	var o options
	var quick bool
	var only, latency, rate, db string
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.BoolVar(&quick, "quick", false, "the 109 MB database alone")
	flags.StringVar(&only, "only", "", "measurements, with commas: "+strings.Join(measureNames(), ", "))
	flags.StringVar(&latency, "latency", "0,5ms,25ms", "added before the first byte of every answer")
	flags.StringVar(&rate, "rate", "", "what the store sends a second at most, all answers together: 125MB is a link of 1 Gbit/s (default no limit)")
	flags.DurationVar(&o.handshake, "handshake", 0, "what making a connection takes, as TCP's and TLS's handshakes do over a distance")
	flags.StringVar(&db, "db", "small,large", "databases, with commas: small is 109 MB, large 1.07 GB")
	flags.IntVar(&o.count, "count", 1, "`runs` of everything; tables show the median")
	flags.StringVar(&o.json, "json", "", "write all figures to this `file` as JSON")
	flags.BoolVar(&o.benchfmt, "benchfmt", false, "print Go's benchmark format, for benchstat, instead of tables")
	flags.StringVar(&o.profiles, "cpuprofile", "", "write a CPU profile of each measuring process into this `directory`")
	flags.StringVar(&o.requests, "transcript", "", "write each measurement's last requests into this `directory`")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if quick {
		db = "small"
	}
	if rate != "" {
		n, err := humanize.ParseBytes(rate)
		if err != nil || n == 0 {
			return nil, fmt.Errorf("rate %q: write bytes like 125MB", rate)
		}
		o.rate = int64(n)
	}
	return &o, o.set(only, latency, db)
}

// set takes the lists of the command line.
func (o *options) set(only, latency, db string) error {
	o.only, o.databases = list(only), list(db)
	for _, name := range o.only {
		if _, err := measureNamed(name); err != nil {
			return err
		}
	}
	for _, name := range o.databases {
		if name != "small" && name != "large" {
			return fmt.Errorf("no database named %q; there are small and large", name)
		}
	}
	for _, text := range list(latency) {
		d, err := time.ParseDuration(text)
		if err != nil || d < 0 {
			return fmt.Errorf("latency %q: write durations like 25ms, with commas between them", text)
		}
		o.latencies = append(o.latencies, d)
	}
	if len(o.databases) == 0 || len(o.latencies) == 0 || o.count < 1 {
		return errors.New("there has to be at least one database, one latency and one run")
	}
	return nil
}

// list splits at commas.
func list(text string) []string {
	return slices.DeleteFunc(strings.Split(text, ","), func(s string) bool { return s == "" })
}

func run(ctx context.Context, args []string) (err error) {
	o, err := parseFlags(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, dir := range []string{o.profiles, o.requests} {
		if dir == "" {
			continue
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	wanted := slices.DeleteFunc(datasets(smallPosts, largePosts), func(d dataset) bool {
		return !slices.Contains(o.datasetNames(), d.Name)
	})
	dir, err := fixtureDir(ctx)
	if err != nil {
		return err
	}
	f, err := openFixture(ctx, dir, wanted, os.Stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	before := thisMachine()
	rows, err := o.run(ctx, f, os.Stderr)
	if err != nil {
		return err
	}
	return o.write(newReport(before, &o.plan, rows))
}

// write prints the report, and stores it if the user wants that.
func (o *options) write(r *report) error {
	if o.benchfmt {
		r.writeBenchmarks(os.Stdout)
	} else {
		r.writeTables(os.Stdout)
	}
	if o.json == "" {
		return nil
	}
	return r.writeJSON(o.json)
}
