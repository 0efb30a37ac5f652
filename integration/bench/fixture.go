package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/superfly/ltx"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/integration/filecache"
	"github.com/litefs-s3/litefs-s3/integration/replicagen"
	"github.com/litefs-s3/litefs-s3/integration/sample"
	"github.com/litefs-s3/litefs-s3/integration/servers"
)

// fixtureVersion changes whenever a fixture holds other data than before under the same name.
const fixtureVersion = 1

// chainTXID is the last TXID of the chain that replicagen makes by default.
const chainTXID ltx.TXID = 590

// dataset is one replica in the bucket, and the same database as a local file.
type dataset struct {
	Name   string // of the bucket too
	Posts  int    // rows of the sample that it was made from
	Inputs bool   // the files that others were merged from are there as well

	// What follows is found out when it is made.
	Times map[string]time.Time // of the last transaction in each file, by key
	First time.Time            // what can be opened
	Last  time.Time
}

func (d *dataset) users() int { return max(1, d.Posts/18) }

// datasets of a full run. The history is another bucket, because a listing of 600 files is not what opening 40 costs.
func datasets(small, large int) []dataset {
	all := []dataset{
		{Name: "small", Posts: small},
		{Name: "history", Posts: small, Inputs: true},
	}
	if large > 0 {
		all = append(all, dataset{Name: "large", Posts: large})
	}
	return all
}

// fixture is a MinIO server with the datasets in it.
type fixture struct {
	dir      string
	minio    *servers.MinIO
	datasets map[string]*dataset
	unlock   func()
}

// openFixture starts MinIO over the data in dir of earlier runs and makes what is missing.
func openFixture(ctx context.Context, dir string, wanted []dataset, progress io.Writer) (_ *fixture, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	unlock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	f := &fixture{dir: dir, datasets: map[string]*dataset{}, unlock: unlock}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.close())
		}
	}()
	if f.minio, err = servers.OpenMinIO(ctx, filepath.Join(dir, "minio")); err != nil {
		return nil, err
	}
	if err := setEnv(f.minio.Env()); err != nil {
		return nil, err
	}
	for _, d := range wanted {
		if f.datasets[d.Name], err = f.ensure(ctx, d, progress); err != nil {
			return nil, fmt.Errorf("dataset %s: %w", d.bucket(), err)
		}
	}
	return f, nil
}

// setEnv makes the stores of this process and of those it starts use the given settings and no others: a user's profile
// or bundle of certificates costs time to read.
func setEnv(env []string) error {
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		if strings.HasPrefix(name, "AWS_") || strings.HasPrefix(name, "LITESTREAM_") {
			if err := os.Unsetenv(name); err != nil {
				return err
			}
		}
	}
	for _, kv := range env {
		name, value, _ := strings.Cut(kv, "=")
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	return nil
}

// fixtureDir is where a version of everything that decides on the data keeps it.
func fixtureDir(ctx context.Context) (string, error) {
	minio, err := servers.Build(ctx, "minio")
	if err != nil {
		return "", err
	}
	cache, err := filecache.Dir()
	if err != nil {
		return "", err
	}
	return filepath.Join(cache, "bench", fmt.Sprintf("v%d-minio=%s", fixtureVersion, filepath.Base(filepath.Dir(minio)))), nil
}

// close stops MinIO; the data stays.
func (f *fixture) close() error {
	defer f.unlock()
	if f.minio == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return f.minio.Stop(ctx)
}

func (d *dataset) bucket() string { return fmt.Sprintf("%s-%d", d.Name, d.Posts) }

// prefix is where in its bucket the replica lies.
const prefix = "app"

// url is the replica's, through a server at endpoint.
func (d *dataset) url(endpoint string) string {
	return servers.S3{Endpoint: endpoint}.URL(d.bucket(), prefix)
}

// image is the path of the local file.
func (f *fixture) image(d *dataset) string { return filepath.Join(f.dir, d.bucket()+".db") }

// ensure makes the dataset unless an earlier run has. What tells is a file with the facts, written last.
func (f *fixture) ensure(ctx context.Context, d dataset, progress io.Writer) (*dataset, error) {
	facts := filepath.Join(f.dir, d.bucket()+".json")
	if data, err := os.ReadFile(facts); err == nil {
		return &d, json.Unmarshal(data, &d)
	}
	fmt.Fprintf(progress, "making the replica %s once\n", d.bucket())
	if err := f.build(ctx, &d); err != nil {
		return nil, err
	}
	data, err := json.Marshal(&d)
	if err != nil {
		return nil, err
	}
	return &d, os.WriteFile(facts, data, 0o644)
}

func (f *fixture) build(ctx context.Context, d *dataset) error {
	var status *servers.StatusError
	if err := f.minio.RemoveBucket(ctx, d.bucket()); err != nil && !errors.As(err, &status) {
		return err
	}
	if err := f.minio.CreateBucket(ctx, d.bucket()); err != nil {
		return err
	}
	source, err := sample.Cached(ctx, sample.Options{Posts: d.Posts})
	if err != nil {
		return err
	}
	store, _, err := litefss3.OpenStore(ctx, litefss3.Config{ReplicaURL: d.url(f.minio.Endpoint)})
	if err != nil {
		return err
	}
	image := f.image(d)
	if err := os.Remove(image); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	replica, err := replicagen.Chain(ctx, store, source, replicagen.Options{
		Inputs: d.Inputs,
		Image: func(txid ltx.TXID) string {
			if txid != chainTXID {
				return ""
			}
			return image
		},
	})
	if err != nil {
		return err
	}
	if replica.TXID != chainTXID {
		return fmt.Errorf("the chain ends with txid %s instead of %s", replica.TXID, chainTXID)
	}
	d.Times = map[string]time.Time{}
	for _, files := range [][]replicagen.File{replica.Plan, replica.Inputs} {
		for _, file := range files {
			d.Times[file.Key] = file.Time
		}
	}
	d.First, d.Last = replica.Plan[0].Time, replica.Time
	return leaveWAL(ctx, image)
}

// leaveWAL gives a local file the rollback mode that a reader of a replica sees too.
func leaveWAL(ctx context.Context, path string) (err error) {
	db, err := openLocal(ctx, path, "rw")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.close()) }()
	var mode string
	if err := db.conn.QueryRowContext(ctx, "PRAGMA journal_mode=DELETE").Scan(&mode); err != nil {
		return err
	}
	if mode != "delete" {
		return fmt.Errorf("%s stays in journal mode %s", path, mode)
	}
	return nil
}

// warm reads everything once, so that no measurement waits for the disk.
func (f *fixture) warm(ctx context.Context) error {
	return filepath.WalkDir(f.dir, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a temporary file of MinIO
		}
		if err != nil || !entry.Type().IsRegular() || !f.uses(path) {
			return err
		}
		file, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		defer file.Close()
		_, err = io.Copy(io.Discard, file)
		return errors.Join(err, ctx.Err())
	})
}

// uses reports whether a file belongs to one of the datasets of this run.
func (f *fixture) uses(path string) bool {
	for _, d := range f.datasets {
		if strings.Contains(path, d.bucket()) {
			return true
		}
	}
	return false
}
