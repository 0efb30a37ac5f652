package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"mime"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/litefs-s3/litefs-s3/compact"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
	"github.com/litefs-s3/litefs-s3/web/host"
)

func main() {
	addr := flag.String("addr", "localhost:8080", "where to serve")
	dir := flag.String("web", "web", "the folder with litefs-s3.js")
	every := flag.Duration("every", 3*time.Second, "time between two transactions of the sample; 0 is no more")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *addr, *dir, *every); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, addr, dir string, every time.Duration) error {
	if _, err := os.Stat(filepath.Join(dir, "litefs-s3.wasm")); err != nil {
		return fmt.Errorf("%w; make web builds it", err)
	}
	bucket := new(memstore.Store)
	tmp, err := os.MkdirTemp("", "litefs-s3-web-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	s, err := newShop(ctx, filepath.Join(tmp, "shop.db"), objstore.WithPrefix(bucket, "shop"), time.Now())
	if err != nil {
		return err
	}
	defer s.source.Close()
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("%w; give another address: make web-demo ADDR=localhost:8081", err)
	}
	fmt.Printf("http://%s/demo/\n", listener.Addr())
	server := &http.Server{Handler: pages(dir, bucket), ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	if every > 0 {
		go s.goOn(ctx, every)
	}
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return server.Close()
	}
}

// pages are the folder, and the bucket at /sample.
func pages(dir string, bucket objstore.Store) http.Handler {
	mime.AddExtensionType(".wasm", "application/wasm") //nolint:errcheck // the type is well-formed
	mux := http.NewServeMux()
	mux.Handle("/", http.FileServer(http.Dir(dir)))
	mux.Handle("/sample", http.StripPrefix("/sample", host.New(bucket)))
	mux.Handle("/sample/", http.StripPrefix("/sample", host.New(bucket)))
	return mux
}

// levels are those of the sample: short ones, so that two hours show them all.
var levels = compact.Options{
	Levels: []time.Duration{time.Minute, 10 * time.Minute, time.Hour}, SnapshotInterval: time.Hour, Retention: -1,
}

// compactAll merges what is due.
func compactAll(ctx context.Context, store objstore.Store) error {
	c, err := compact.New(store, levels)
	if err != nil {
		return err
	}
	plan, err := c.Plan(ctx)
	if err != nil {
		return err
	}
	_, err = c.Run(ctx, plan)
	return err
}

// goOn sells until ctx ends.
func (s *shop) goOn(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := s.sell(ctx)
		if err == nil && n%20 == 0 {
			err = compactAll(ctx, s.store)
		}
		if err != nil && !errors.Is(err, context.Canceled) {
			log.Print(err)
		}
	}
}
