package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"

	"github.com/litefs-s3/litefs-s3/integration/servers"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

// world is what the tests are told.
type world struct {
	Page        string      `json:"page"`        // the folder web/, on an origin of its own
	Public      string      `json:"public"`      // the live replica, for everybody
	Signed      string      `json:"signed"`      // the same, for those who sign
	Private     string      `json:"private"`     // a copy of it that only those may read who sign
	Missing     string      `json:"missing"`     // in a bucket that is not there
	Empty       string      `json:"empty"`       // nothing is there
	Odd         string      `json:"odd"`         // the server with all that is wrong; see odd.go
	Stores      string      `json:"stores"`      // empty stores, one below each name, that take PUT
	Credentials credentials `json:"credentials"` // MinIO's own
	Temporary   credentials `json:"temporary"`   // with a session token
	Rows        int         `json:"rows"`        // of the table numbers
}

type credentials struct {
	AccessKeyID     string `json:"accessKeyId"`
	SecretAccessKey string `json:"secretAccessKey"`
	SessionToken    string `json:"sessionToken,omitempty"`
}

func main() {
	web := flag.String("web", "web", "the folder with litefs-s3.js")
	storesOnly := flag.Bool("stores", false, "nothing but the empty stores")
	flag.Parse()
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		io.Copy(io.Discard, os.Stdin) //nolint:errcheck // its end is all that matters
		cancel()
	}()
	if err := run(ctx, *web, *storesOnly); err != nil && ctx.Err() == nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, web string, storesOnly bool) (err error) {
	w := &world{Rows: rows}
	if w.Stores, err = serve(ctx, new(emptyStores)); err != nil {
		return err
	}
	if storesOnly {
		return w.tell(ctx)
	}
	if w.Page, err = serve(ctx, http.FileServer(http.Dir(web))); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "litefs-s3-webworld-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	minio, err := servers.OpenMinIO(ctx, filepath.Join(dir, "minio"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, minio.Kill()) }()
	source, err := openSource(ctx, minio.S3, filepath.Join(dir, "app.db"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.close()) }()
	if err := w.populate(ctx, minio.S3); err != nil {
		return err
	}
	go source.keepWriting(ctx)
	return w.tell(ctx)
}

// populate makes what is beside the live replica.
func (w *world) populate(ctx context.Context, s3 servers.S3) error {
	w.Public, w.Signed, w.Private = s3.Endpoint+"/"+liveBucket+"/app", s3.URL(liveBucket, "app"), s3.URL("private", "app")
	w.Missing, w.Empty = s3.URL("nothere", "app"), s3.URL(liveBucket, "nothing")
	w.Credentials = credentials{s3.AccessKey, s3.SecretKey, ""}
	const policy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:GetObject","s3:ListBucket"],"Resource":["arn:aws:s3:::private","arn:aws:s3:::private/*"]}]}`
	temporary, err := s3.AssumeRole(ctx, policy)
	if err != nil {
		return err
	}
	w.Temporary = credentials{temporary.AccessKey, temporary.SecretKey, temporary.Token}
	mem := new(memstore.Store)
	if err := copyReplica(ctx, s3, "private", mem); err != nil {
		return err
	}
	w.Odd, err = serve(ctx, odd(mem))
	return err
}

// tell prints the world and waits for its end.
func (w *world) tell(ctx context.Context) error {
	line, err := json.Marshal(w)
	if err != nil {
		return err
	}
	fmt.Println(string(line))
	<-ctx.Done()
	return nil
}

// serve serves on a port of its own until ctx ends, and returns the origin.
func serve(ctx context.Context, handler http.Handler) (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: handler}
	context.AfterFunc(ctx, func() { server.Close() })
	go server.Serve(listener) //nolint:errcheck // it ends with ctx
	return "http://" + listener.Addr().String(), nil
}
