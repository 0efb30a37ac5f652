package replicagen_test

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/litefs-s3/litefs-s3/integration/replicagen"
	"github.com/litefs-s3/litefs-s3/integration/sample"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
	"github.com/superfly/ltx"
)

// build makes a sample of about 600 KB.
func build(t *testing.T, opts sample.Options) string {
	t.Helper()
	opts.Posts = 1000
	path := filepath.Join(t.TempDir(), "app.db")
	if err := sample.Build(t.Context(), path, opts); err != nil {
		t.Fatal(err)
	}
	return path
}

// images is a place for the database as of each file of the plan.
func images(t *testing.T) func(ltx.TXID) string {
	dir := t.TempDir()
	return func(txid ltx.TXID) string { return filepath.Join(dir, txid.String()+".db") }
}

func TestChain_EveryPrefixOfThePlanIsTheDatabase(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name  string
		opts  replicagen.Options
		pages int
	}{
		{name: "forty files", opts: replicagen.Options{Spans: [4]int{1, 2, 4, 8}}},
		{name: "only a snapshot", opts: replicagen.Options{Files: 1}},
		{name: "begins with a merged file", opts: replicagen.Options{Base: 2, Files: 15, Spans: [4]int{1, 3, 6, 6}}},
		{name: "small pages", opts: replicagen.Options{Files: 5, Spans: [4]int{1, 2, 2, 4}}, pages: 512},
		{name: "large pages", opts: replicagen.Options{Files: 5, Spans: [4]int{1, 2, 2, 4}}, pages: 65536},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			store := new(memstore.Store)
			c.opts.Prefix, c.opts.Image = "app", images(t)
			replica, err := replicagen.Chain(t.Context(), store, build(t, sample.Options{PageSize: c.pages}), c.opts)
			if err != nil {
				t.Fatal(err)
			}
			if want := cmp.Or(c.opts.Files, 40); len(replica.Plan) != want {
				t.Errorf("the plan has %d files, want %d", len(replica.Plan), want)
			}
			for n := range replica.Plan {
				restored := restore(t, store, replica.Plan[:n+1])
				sample.EqualDatabases(t, c.opts.Image(replica.Plan[n].Max), restored)
			}
			last := c.opts.Image(replica.TXID)
			sample.IntegrityCheck(t, last)
			if info, err := os.Stat(last); err != nil || info.Size() != int64(replica.Commit)*int64(replica.PageSize) {
				t.Errorf("replica is %+v, the image %v, %v", replica, info, err)
			}
		})
	}
}

func TestChain_FilesAreWhatLitestreamWrites(t *testing.T) {
	t.Parallel()
	store := new(memstore.Store)
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	opts := replicagen.Options{Prefix: "app", Spans: [4]int{1, 2, 4, 8}, Start: start, Step: time.Minute, Inputs: true}
	replica, err := replicagen.Chain(t.Context(), store, build(t, sample.Options{}), opts)
	if err != nil {
		t.Fatal(err)
	}
	if len(replica.Plan) != 40 || len(replica.Inputs) != 3*(8+4+2)+6*(4+2)+10*2 {
		t.Errorf("%d files in the plan and %d inputs", len(replica.Plan), len(replica.Inputs))
	}
	keys := store.Keys()
	if len(keys) != 40+98 || keys[len(keys)-1] != "app/0009/0000000000000001-0000000000000008.ltx" {
		t.Errorf("%d keys: %v", len(keys), keys)
	}
	var end ltx.TXID
	for _, file := range replica.Plan {
		checkFile(t, store, file, start.Add(time.Duration(file.Max-1)*time.Minute))
		if file.Min != end+1 {
			t.Errorf("%s begins at %s after %s", file.Key, file.Min, end)
		}
		end = file.Max
	}
	for _, file := range replica.Inputs {
		checkFile(t, store, file, start.Add(time.Duration(file.Max-1)*time.Minute))
	}
	if end != replica.TXID || !replica.Time.Equal(start.Add(time.Duration(end-1)*time.Minute)) {
		t.Errorf("replica ends at %s, %s; plan at %s", replica.TXID, replica.Time, end)
	}
}

// checkFile decodes a file and checks its header, its checksum and what lies beside it in the store.
func checkFile(t *testing.T, store *memstore.Store, file replicagen.File, want time.Time) {
	t.Helper()
	object, ok := objects(store)[file.Key]
	if !ok {
		t.Errorf("%s is not in the store", file.Key)
		return
	}
	dec := ltx.NewDecoder(bytes.NewReader(object.Data))
	if err := dec.Verify(); err != nil {
		t.Errorf("%s: %v", file.Key, err)
	}
	hdr := dec.Header()
	if !object.Timestamp.Equal(want) || !file.Time.Equal(want) || hdr.Timestamp != want.UnixMilli() {
		t.Errorf("%s: timestamps %s, %s, %d; want %s", file.Key, object.Timestamp, file.Time, hdr.Timestamp, want)
	}
	fromWAL := file.Level == 0 || file.Level == replicagen.SnapshotLevel
	if hdr.Flags != ltx.HeaderFlagNoChecksum || (hdr.WALOffset >= 32) != fromWAL || (hdr.WALSalt1 != 0) != fromWAL {
		t.Errorf("%s: header %+v", file.Key, hdr)
	}
	if int64(len(object.Data)) != file.Size || hdr.MinTXID != file.Min || hdr.MaxTXID != file.Max {
		t.Errorf("%s: %d bytes with header %+v, reported as %+v", file.Key, len(object.Data), hdr, file)
	}
}

// objects are the store's objects by key.
func objects(store *memstore.Store) map[string]memstore.Object {
	byKey := make(map[string]memstore.Object)
	for _, object := range store.Objects() {
		byKey[object.Key] = object
	}
	return byKey
}

// restore merges files and decodes the database from the result, as litestream restore does.
func restore(t *testing.T, store *memstore.Store, files []replicagen.File) string {
	t.Helper()
	objects := objects(store)
	var inputs []io.Reader
	for _, file := range files {
		inputs = append(inputs, bytes.NewReader(objects[file.Key].Data))
	}
	var merged bytes.Buffer
	c, err := ltx.NewCompactor(&merged, inputs)
	if err != nil {
		t.Fatal(err)
	}
	c.HeaderFlags = ltx.HeaderFlagNoChecksum
	if err := c.Compact(t.Context()); err != nil {
		t.Fatalf("merge %d files: %v", len(files), err)
	}
	out, err := os.Create(filepath.Join(t.TempDir(), "restored.db"))
	if err != nil {
		t.Fatal(err)
	}
	if err := ltx.NewDecoder(&merged).DecodeDatabaseTo(out); err != nil {
		t.Fatalf("decode %d files: %v", len(files), err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Name()
}

func TestChain_LeavesTheDatabaseAlone(t *testing.T) {
	t.Parallel()
	path := build(t, sample.Options{})
	before, errBefore := os.ReadFile(path)
	if _, err := replicagen.Chain(t.Context(), new(memstore.Store), path, replicagen.Options{Files: 3}); err != nil {
		t.Fatal(err)
	}
	after, errAfter := os.ReadFile(path)
	if errBefore != nil || errAfter != nil || !bytes.Equal(before, after) {
		t.Errorf("the file changed: %v, %v", errBefore, errAfter)
	}
}

func TestChain_RefusesWhatMakesNoSense(t *testing.T) {
	t.Parallel()
	for _, opts := range []replicagen.Options{
		{Files: -1}, {Base: 4}, {Base: -1},
		{Spans: [4]int{2, 4, 8, 16}}, {Spans: [4]int{1, 2, 3, 4}}, {Spans: [4]int{1, 0, 0, 0}},
	} {
		if _, err := replicagen.Chain(t.Context(), new(memstore.Store), "no.db", opts); err == nil {
			t.Errorf("%+v was accepted", opts)
		}
	}
}

func BenchmarkChain(b *testing.B) {
	for _, posts := range []int{10_000, 180_000} {
		b.Run(fmt.Sprintf("posts=%d", posts), func(b *testing.B) {
			path, err := sample.Cached(b.Context(), sample.Options{Posts: posts})
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := replicagen.Chain(b.Context(), new(memstore.Store), path, replicagen.Options{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
