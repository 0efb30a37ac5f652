package sample_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/litefs-s3/litefs-s3/integration/sample"
)

// small is a sample of about 600 KB.
var small = sample.Options{Posts: 1000}

// build makes a small sample and returns its path.
func build(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "app.db")
	if err := sample.Build(t.Context(), path, small); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestBuild_SameBytesEachTime(t *testing.T) {
	t.Parallel()
	a, errA := os.ReadFile(build(t))
	b, errB := os.ReadFile(build(t))
	if errA != nil || errB != nil || string(a) != string(b) {
		t.Errorf("two builds differ: %d and %d bytes, %v, %v", len(a), len(b), errA, errB)
	}
}

func TestBuild_Rows(t *testing.T) {
	t.Parallel()
	path := build(t)
	sample.IntegrityCheck(t, path)
	db, err := sample.OpenSource(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for query, want := range map[string]int{
		"SELECT count(*) FROM posts":        1000,
		"SELECT count(*) FROM users":        55,
		"SELECT count(*) > 5000 FROM likes": 1,
		"SELECT count(*) FROM posts JOIN users ON users.id = user_id WHERE length(body) >= 320":   1000,
		"SELECT count(*) FROM likes LEFT JOIN posts ON posts.id = post_id WHERE posts.id IS NULL": 0,
	} {
		var got int
		if err := db.QueryRow(query).Scan(&got); err != nil || got != want {
			t.Errorf("%s: got %d, %v; want %d", query, got, err, want)
		}
	}
}

func TestBuild_PageSizes(t *testing.T) {
	t.Parallel()
	for _, size := range []int{512, 8192, 65536} {
		path := filepath.Join(t.TempDir(), "app.db")
		if err := sample.Build(t.Context(), path, sample.Options{Posts: 100, PageSize: size}); err != nil {
			t.Fatal(err)
		}
		sample.IntegrityCheck(t, path)
		sample.EqualDatabases(t, path, path)
	}
}

func TestTouch_SameRowsEachTime(t *testing.T) {
	t.Parallel()
	a, b := touchedImage(t), touchedImage(t)
	sample.EqualDatabases(t, a, b)
	sample.IntegrityCheck(t, a)
	if err := sample.Compare(a, build(t)); err == nil {
		t.Error("twenty transactions changed nothing")
	}
}

// touchedImage applies transactions to a sample and returns an image taken while the database is still open.
func touchedImage(t *testing.T) string {
	t.Helper()
	path := build(t)
	db, err := sample.OpenSource(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for range 2 { // the second call goes on where the first one ended
		if err := sample.Touch(t.Context(), db, 10, 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := sample.Compare(path, path); err == nil || !strings.Contains(err.Error(), "WAL") {
		t.Errorf("comparing a file with a WAL: got %v, want a refusal", err)
	}
	image := path + ".image"
	if err := sample.Image(t.Context(), path, image); err != nil {
		t.Fatal(err)
	}
	if left, err := filepath.Glob(image + "-*"); err != nil || len(left) > 0 {
		t.Errorf("beside the image lie %v, %v", left, err)
	}
	return image
}

func TestCompare(t *testing.T) {
	t.Parallel()
	original := build(t)
	cases := []struct {
		name   string
		change func(data []byte) []byte
		want   string // part of the error; empty means equal
	}{
		{"nothing changed", func(b []byte) []byte { return b }, ""},
		{"journal mode", func(b []byte) []byte { b[18], b[19] = 2, 2; return b }, ""},
		{"change counter and versions", func(b []byte) []byte { b[27]++; b[92]++; b[99]++; return b }, ""},
		{"schema cookie", func(b []byte) []byte { b[43]++; return b }, "differ in 1 of"},
		{"last byte", func(b []byte) []byte { b[len(b)-1]++; return b }, "differ in 1 of"},
		{"a page less", func(b []byte) []byte { return b[:len(b)-4096] }, "pages of 4096"},
		{"half a page", func(b []byte) []byte { return b[:len(b)-100] }, "no whole number"},
		{"not a database", func([]byte) []byte { return []byte("hello") }, "no SQLite database"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(original)
			if err != nil {
				t.Fatal(err)
			}
			other := filepath.Join(t.TempDir(), "other.db")
			if err := os.WriteFile(other, c.change(data), 0o644); err != nil {
				t.Fatal(err)
			}
			err = sample.Compare(original, other)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestCheck_FindsDamage(t *testing.T) {
	t.Parallel()
	path := build(t)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	clear(data[20*4096 : 21*4096])
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := sample.Check(t.Context(), path); err == nil {
		t.Error("an emptied page went unnoticed")
	}
}
