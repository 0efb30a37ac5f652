package filestore_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/filestore"
	"github.com/litefs-s3/litefs-s3/objstore/storetest"
)

func create(t *testing.T, layout filestore.Layout) *filestore.Store {
	t.Helper()
	store, err := filestore.Create(filepath.Join(t.TempDir(), "new", "replica"), layout)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { checkNoTemps(t, store.Dir()) })
	return store
}

// checkNoTemps wants nothing left but objects and the lock, with no rights for others.
func checkNoTemps(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		if strings.HasSuffix(path, ".tmp") {
			t.Errorf("%s is left", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestStore(t *testing.T) {
	t.Parallel()
	for _, layout := range []filestore.Layout{filestore.S3Like, filestore.Litestream} {
		t.Run(layout.String(), func(t *testing.T) {
			t.Parallel()
			open := func(t *testing.T) objstore.Store { return create(t, layout) }
			storetest.Run(t, open)
			storetest.RunKeys(t, open, nil)
		})
	}
}

// TestStore_Reopened lets every call go through a Store of its own, as several processes would.
func TestStore_Reopened(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const racers, rounds = 8, 20
	first, err := filestore.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	etag, err := first.Put(t.Context(), "counter", strings.NewReader("0"), objstore.PutOptions{})
	if err != nil || etag == "" {
		t.Fatal(err)
	}
	done := make(chan error)
	for range racers {
		go func() { done <- count(t, dir, rounds) }()
	}
	for range racers {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	part, err := first.ReadPrefix(t.Context(), objstore.Ref{Key: "counter"}, 10)
	if err != nil || string(part.Data) != strconv.Itoa(racers*rounds) {
		t.Errorf("got %s and %v, want %d", part.Data, err, racers*rounds)
	}
}

// count adds 1 to the counter n times, each time over the version it has read.
func count(t *testing.T, dir string, n int) error {
	for range n {
		for {
			store, err := filestore.Open(dir)
			if err != nil {
				return err
			}
			part, err := store.ReadPrefix(t.Context(), objstore.Ref{Key: "counter"}, 10)
			if err != nil {
				return err
			}
			value, err := strconv.Atoi(string(part.Data))
			if err != nil {
				return err
			}
			body := strings.NewReader(strconv.Itoa(value + 1))
			_, err = store.Put(t.Context(), "counter", body, objstore.PutOptions{IfMatch: part.ETag})
			if err == nil {
				break
			}
			if !errors.Is(err, objstore.ErrChanged) {
				return err
			}
		}
	}
	return nil
}

func TestOpen_Layout(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		dirs []string
		want filestore.Layout
		err  bool
	}{
		{"nothing", nil, filestore.S3Like, false},
		{"a bucket", []string{"0000", "0009"}, filestore.S3Like, false},
		{"Litestream's", []string{"ltx/0", "ltx/9"}, filestore.Litestream, false},
		{"only a snapshot", []string{"ltx/9"}, filestore.Litestream, false},
		{"something else called ltx", []string{"ltx/x", "ltx/00"}, filestore.S3Like, false},
		{"both", []string{"ltx/0", "0000"}, 0, true},
		{"a sidecar beside", []string{"ltx/0", "litefs-s3"}, filestore.Litestream, false},
	} {
		dir := t.TempDir()
		for _, sub := range test.dirs {
			if err := os.MkdirAll(filepath.Join(dir, filepath.FromSlash(sub)), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		store, err := filestore.Open(dir)
		if (err != nil) != test.err {
			t.Errorf("%s: %v", test.name, err)
		}
		if err == nil && store.Layout() != test.want {
			t.Errorf("%s: %v, want %v", test.name, store.Layout(), test.want)
		}
	}
}

// TestOpen_BeforeLitestream is a directory that gets its layout after it was opened.
func TestOpen_BeforeLitestream(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "later")
	store, err := filestore.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.List(t.Context(), "", ""); !errors.Is(err, objstore.ErrNoBucket) {
		t.Errorf("list: got %v", err)
	}
	_, err = store.ReadPrefix(t.Context(), objstore.Ref{Key: storetest.Key(0, 1, 1)}, 1)
	if !errors.Is(err, objstore.ErrNoBucket) || errors.Is(err, objstore.ErrNotFound) {
		t.Errorf("read: got %v", err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "ltx", "9"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Put(t.Context(), storetest.Key(9, 1, 1), strings.NewReader("x"), objstore.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "ltx", "9", "0000000000000001-0000000000000001.ltx")); err != nil {
		t.Error(err)
	}
	if _, err := filestore.Create(dir, filestore.S3Like); err == nil || !strings.Contains(err.Error(), "Litestream") {
		t.Errorf("create over another layout: got %v", err)
	}
}

// TestLitestreamFiles reads and lists what Litestream writes, its temporary files aside.
func TestLitestreamFiles(t *testing.T) {
	t.Parallel()
	store := create(t, filestore.Litestream)
	made := time.Date(2026, 11, 20, 15, 11, 12, 540_000_000, time.UTC)
	if _, err := store.Put(t.Context(), storetest.Key(10, 1, 1), strings.NewReader("ten"), objstore.PutOptions{Timestamp: made}); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(store.Dir(), "ltx", "10", "0000000000000001-0000000000000001.ltx"))
	if err != nil || !info.ModTime().Equal(made) {
		t.Errorf("got %v and %v", info, err)
	}
	temp := filepath.Join(store.Dir(), "ltx", "10", "0000000000000002-0000000000000002.ltx.tmp")
	if err := os.WriteFile(temp, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Put(t.Context(), "lock.json", strings.NewReader("{}"), objstore.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	all, err := objstore.ListAll(t.Context(), store, "", "")
	if err != nil || len(all) != 2 || all[0].Key != storetest.Key(10, 1, 1) || !all[0].Modified.Equal(made) || all[1].Key != "lock.json" {
		t.Errorf("got %v and %v", all, err)
	}
	if _, err := store.Put(t.Context(), "ltx/x", strings.NewReader(""), objstore.PutOptions{}); err == nil {
		t.Error("a key among the levels was taken")
	}
	if err := os.Remove(temp); err != nil {
		t.Fatal(err)
	}
}

// TestPut_SameTimestamp wants another ETag although time and size are the same.
func TestPut_SameTimestamp(t *testing.T) {
	t.Parallel()
	store := create(t, filestore.S3Like)
	var last string
	for i := range 20 {
		etag, err := store.Put(t.Context(), "k", bytes.NewReader([]byte{byte(i)}), objstore.PutOptions{Timestamp: time.UnixMilli(1e12)})
		if err != nil {
			t.Fatal(err)
		}
		page, err := store.List(t.Context(), "k", "")
		if err != nil || page.Objects[0].ETag != etag {
			t.Errorf("put said %s, list says %s (%v)", etag, page.Objects[0].ETag, err)
		}
		if etag == last {
			t.Errorf("two versions have the etag %s", etag)
		}
		last = etag
	}
}

func TestPut_Sweeps(t *testing.T) {
	t.Parallel()
	store := create(t, filestore.S3Like)
	abandoned, fresh := filepath.Join(store.Dir(), ".litefs-s3-1.tmp"), filepath.Join(store.Dir(), ".litefs-s3-2.tmp")
	for _, path := range []string{abandoned, fresh} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	old := time.Now().Add(-48 * time.Hour)
	if err := os.Chtimes(abandoned, old, old); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Put(t.Context(), "k", strings.NewReader("x"), objstore.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(abandoned); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the abandoned file: %v", err)
	}
	if err := os.Remove(fresh); err != nil {
		t.Errorf("the fresh file: %v", err)
	}
}

// TestOutside wants no way out of the directory.
func TestOutside(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	store, err := filestore.Open(filepath.Join(dir, "replica"))
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"../secret", "0000/../../secret", "/etc/passwd", dir + "/secret", "a/../../secret"} {
		if _, err := store.ReadPrefix(t.Context(), objstore.Ref{Key: key}, 1); err == nil {
			t.Errorf("read %q", key)
		}
		if _, err := store.Put(t.Context(), key, strings.NewReader("x"), objstore.PutOptions{}); err == nil {
			t.Errorf("put %q", key)
		}
		if err := store.Delete(t.Context(), key); err == nil {
			t.Errorf("delete %q", key)
		}
	}
	if data, err := os.ReadFile(filepath.Join(dir, "secret")); err != nil || string(data) != "secret" {
		t.Errorf("got %s and %v", data, err)
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	store := create(t, filestore.S3Like)
	if _, err := store.Put(t.Context(), "a", strings.NewReader("x"), objstore.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := store.ReadPrefix(t.Context(), objstore.Ref{Key: "a/b"}, 1); !errors.Is(err, objstore.ErrNotFound) {
		t.Errorf("under a file: got %v", err)
	}
	if _, err := store.Put(t.Context(), "a/b", strings.NewReader("x"), objstore.PutOptions{}); err == nil {
		t.Error("put under a file")
	}
	if _, err := store.Put(t.Context(), "d/e", strings.NewReader("x"), objstore.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, opts := range []objstore.PutOptions{{}, {OnlyCreate: true}} {
		if _, err := store.Put(t.Context(), "d", strings.NewReader("x"), opts); err == nil {
			t.Error("put over a folder")
		}
	}
	if _, err := store.ReadPrefix(t.Context(), objstore.Ref{Key: "d"}, 1); !errors.Is(err, objstore.ErrNotFound) {
		t.Errorf("a folder: got %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, ""} {
		if _, err := filestore.Open(dir); err == nil {
			t.Errorf("opened %q", dir)
		}
		if _, err := filestore.Create(dir, filestore.S3Like); err == nil {
			t.Errorf("created %q", dir)
		}
	}
}

// TestErrors_Access needs a user whom permissions stop, so it runs itself as nobody when it is root.
func TestErrors_Access(t *testing.T) {
	if os.Geteuid() == 0 {
		runAsNobody(t)
		return
	}
	dir := t.TempDir()
	store, err := filestore.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(dir, 0o700) })
	if _, err := store.Put(t.Context(), "a", strings.NewReader("x"), objstore.PutOptions{}); !errors.Is(err, objstore.ErrAccess) {
		t.Errorf("got %v", err)
	}
}

func runAsNobody(t *testing.T) {
	binary := filepath.Join("/tmp", filepath.Base(t.TempDir())+"-"+filepath.Base(os.Args[0]))
	data, err := os.ReadFile(os.Args[0])
	if err == nil {
		err = os.WriteFile(binary, data, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(binary)
	cmd := exec.Command(binary, "-test.run=^TestErrors_Access$", "-test.v")
	cmd.Dir, cmd.Env = "/tmp", []string{"HOME=/tmp"}
	asNobody(cmd)
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestErrors_Access") {
		t.Errorf("as nobody: %v\n%s", err, out)
	}
}
