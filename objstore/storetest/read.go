package storetest

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"testing"

	"github.com/litefs-s3/litefs-s3/objstore"
)

// RunReadOnly checks everything about reading and listing. open returns a store that holds exactly the given objects.
func RunReadOnly(t *testing.T, open func(t *testing.T, objects map[string][]byte) objstore.Store) {
	big := Content(1, 300_000)
	objects := map[string][]byte{
		Key(0, 5, 5): Content(5, 131),
		Key(0, 6, 6): {},
		Key(1, 1, 6): Content(7, 1),
		Key(9, 1, 4): big,
	}
	t.Run("objects", func(t *testing.T) {
		store := open(t, objects)
		for _, test := range []struct {
			name string
			run  func(*testing.T, objstore.Store, map[string][]byte)
		}{
			{"ranges", testRanges},
			{"suffixes and prefixes", testParts},
			{"versions", testVersions},
			{"what is not there", testNotFound},
			{"senseless requests", testSenseless},
			{"an ended context", testCanceled},
			{"many readers", testManyReaders},
			{"list", testList},
		} {
			t.Run(test.name, func(t *testing.T) { test.run(t, store, objects) })
		}
	})
	t.Run("list nothing", func(t *testing.T) {
		checkKeys(t, open(t, nil), "0000/", "", nil)
	})
	t.Run("list pages", func(t *testing.T) { testPages(t, open) })
}

func testRanges(t *testing.T, store objstore.Store, objects map[string][]byte) {
	key := Key(9, 1, 4)
	data := objects[key]
	size := int64(len(data))
	for _, test := range []struct {
		name   string
		off, n int64
	}{
		{"first byte", 0, 1},
		{"last byte", size - 1, 1},
		{"middle", 1000, 4096},
		{"to the end", size - 100, 100},
		{"all", 0, size},
		{"one past the end", size - 99, 100},
		{"from the end", size, 1},
		{"far past the end", size + 1000, 1},
		{"beyond any object", math.MaxInt64 - 10, 10},
		{"more than all", 0, size + 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := make([]byte, test.n)
			err := store.ReadAt(t.Context(), objstore.Ref{Key: key}, p, test.off)
			if test.off+test.n > size {
				checkError(t, err, "get", key, objstore.ErrShortObject)
				return
			}
			if err != nil || !bytes.Equal(p, data[test.off:test.off+test.n]) {
				t.Fatalf("got %v and equal bytes %v", err, bytes.Equal(p, data[test.off:test.off+test.n]))
			}
		})
	}
	err := store.ReadAt(t.Context(), objstore.Ref{Key: Key(0, 6, 6)}, make([]byte, 1), 0)
	checkError(t, err, "get", Key(0, 6, 6), objstore.ErrShortObject)
	if err := store.ReadAt(t.Context(), objstore.Ref{Key: Key(7, 7, 7)}, nil, 3); err != nil {
		t.Fatalf("an empty read asks nothing, got %v", err)
	}
}

func testParts(t *testing.T, store objstore.Store, objects map[string][]byte) {
	for _, key := range slices.Sorted(maps.Keys(objects)) {
		data := objects[key]
		size := int64(len(data))
		for _, n := range []int64{1, 24, size - 1, size, size + 1, 64 << 10, math.MaxInt64} {
			if n <= 0 {
				continue
			}
			t.Run(fmt.Sprintf("%d of %d", n, size), func(t *testing.T) {
				n := min(n, 8<<20)
				have := min(n, size)
				suffix, err := store.ReadSuffix(t.Context(), objstore.Ref{Key: key}, n)
				checkPart(t, suffix, err, data[size-have:], size-have, size)
				prefix, err := store.ReadPrefix(t.Context(), objstore.Ref{Key: key}, n)
				checkPart(t, prefix, err, data[:have], 0, size)
				if suffix.ETag != prefix.ETag {
					t.Errorf("two etags for one version: %q and %q", suffix.ETag, prefix.ETag)
				}
			})
		}
	}
}

func testVersions(t *testing.T, store objstore.Store, objects map[string][]byte) {
	for key, data := range objects {
		part, err := store.ReadPrefix(t.Context(), objstore.Ref{Key: key}, 10)
		if err != nil {
			t.Fatal(err)
		}
		if part.ETag == "" {
			t.Fatalf("%s: no etag", key)
		}
		checkContent(t, store, objstore.Ref{Key: key, ETag: part.ETag}, data)
		if len(data) == 0 {
			continue
		}
		other := objstore.Ref{Key: key, ETag: "0123456789abcdef0123456789abcdef"}
		checkError(t, store.ReadAt(t.Context(), other, make([]byte, 1), 0), "get", key, objstore.ErrChanged)
		_, err = store.ReadSuffix(t.Context(), other, 1)
		checkError(t, err, "get", key, objstore.ErrChanged)
		_, err = store.ReadPrefix(t.Context(), other, 1)
		checkError(t, err, "get", key, objstore.ErrChanged)
	}
}

func testNotFound(t *testing.T, store objstore.Store, _ map[string][]byte) {
	for _, ref := range []objstore.Ref{
		{Key: Key(0, 7, 7)},
		{Key: Key(0, 7, 7), ETag: "0123456789abcdef"},
		{Key: Key(8, 1, 1)},
	} {
		checkError(t, store.ReadAt(t.Context(), ref, make([]byte, 1), 0), "get", ref.Key, objstore.ErrNotFound)
		_, err := store.ReadSuffix(t.Context(), ref, 1)
		checkError(t, err, "get", ref.Key, objstore.ErrNotFound)
		_, err = store.ReadPrefix(t.Context(), ref, 1)
		checkError(t, err, "get", ref.Key, objstore.ErrNotFound)
	}
}

func testSenseless(t *testing.T, store objstore.Store, _ map[string][]byte) {
	ref := objstore.Ref{Key: Key(9, 1, 4)}
	checkOpError(t, store.ReadAt(t.Context(), ref, make([]byte, 1), -1), "get", ref.Key)
	checkOpError(t, store.ReadAt(t.Context(), ref, make([]byte, 2), math.MaxInt64), "get", ref.Key)
	for _, n := range []int64{0, -1} {
		_, err := store.ReadSuffix(t.Context(), ref, n)
		checkOpError(t, err, "get", ref.Key)
		_, err = store.ReadPrefix(t.Context(), ref, n)
		checkOpError(t, err, "get", ref.Key)
	}
	for _, key := range []string{"", "/0000/a.ltx", "0000//a.ltx", "../secret", "0000/../../secret", "a\x00b", "a/", "a\xff"} {
		_, err := store.ReadPrefix(t.Context(), objstore.Ref{Key: key}, 1)
		checkOpError(t, err, "get", key)
		_, err = store.Put(t.Context(), key, bytes.NewReader(nil), objstore.PutOptions{})
		checkOpError(t, err, "put", key)
		checkOpError(t, store.Delete(t.Context(), key), "delete", key)
	}
}

func testCanceled(t *testing.T, store objstore.Store, _ map[string][]byte) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ref := objstore.Ref{Key: Key(9, 1, 4)}
	checkError(t, store.ReadAt(ctx, ref, make([]byte, 1), 0), "get", ref.Key, context.Canceled)
	_, err := store.ReadSuffix(ctx, ref, 1)
	checkError(t, err, "get", ref.Key, context.Canceled)
	_, err = store.ReadPrefix(ctx, ref, 1)
	checkError(t, err, "get", ref.Key, context.Canceled)
	_, err = store.List(ctx, "0000/", "")
	checkError(t, err, "list", "0000/", context.Canceled)
}

func testManyReaders(t *testing.T, store objstore.Store, objects map[string][]byte) {
	key := Key(9, 1, 4)
	data := objects[key]
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			off := int64(i * 9000)
			p := make([]byte, 8000)
			if err := store.ReadAt(t.Context(), objstore.Ref{Key: key}, p, off); err != nil {
				t.Error(err)
			} else if !bytes.Equal(p, data[off:off+8000]) {
				t.Errorf("wrong bytes at %d", off)
			}
		})
	}
	wg.Wait()
}

func testList(t *testing.T, store objstore.Store, objects map[string][]byte) {
	all := slices.Sorted(maps.Keys(objects))
	for _, test := range []struct {
		name               string
		prefix, startAfter string
		want               []string
	}{
		{"everything", "", "", all},
		{"a level", "0000/", "", all[:2]},
		{"part of a name", "0000/0000000000000006", "", all[1:2]},
		{"a whole key", all[2], "", all[2:3]},
		{"nothing there", "0005/", "", nil},
		{"after a key", "", all[1], all[2:]},
		{"after a key that is not there", "", "0000/0000000000000005-~", all[1:]},
		{"after a key of another level", "0000/", "0001/", nil},
		{"after a key before the prefix", "0001/", "0000/zzz", all[2:3]},
		{"after a folder without its slash", "", "0000", all},
		{"after the last key", "", all[3], nil},
		{"after its own prefix", "0009/", "0009/", all[3:]},
		{"prefix without the slash", "000", "", all},
	} {
		t.Run(test.name, func(t *testing.T) {
			checkKeys(t, store, test.prefix, test.startAfter, test.want)
		})
	}
	checkInfos(t, store, objects)
}

func checkInfos(t *testing.T, store objstore.Store, objects map[string][]byte) {
	t.Helper()
	infos, err := objstore.ListAll(t.Context(), store, "", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, info := range infos {
		if info.Size != int64(len(objects[info.Key])) || info.Modified.IsZero() {
			t.Errorf("got %+v, want %d bytes and a time", info, len(objects[info.Key]))
		}
		part, err := store.ReadPrefix(t.Context(), objstore.Ref{Key: info.Key}, 1)
		if err != nil || info.ETag != part.ETag {
			t.Errorf("%s: etag %q in the listing, %q when read (%v)", info.Key, info.ETag, part.ETag, err)
		}
	}
}

// testPages wants a listing of more than one full page of S3 to be whole and in order.
func testPages(t *testing.T, open func(t *testing.T, objects map[string][]byte) objstore.Store) {
	objects := make(map[string][]byte)
	for i := range uint64(1205) {
		objects[Key(int(i%3), i/3+1, i/3+1)] = []byte{1}
	}
	store := open(t, objects)
	all := slices.Sorted(maps.Keys(objects))
	checkKeys(t, store, "", "", all)
	checkKeys(t, store, "", all[100], all[101:])
	page, err := store.List(t.Context(), "", "")
	if err != nil || len(page.Objects) == 0 || page.More != (len(page.Objects) < len(all)) {
		t.Fatalf("first page: %d objects, more %v, %v", len(page.Objects), page.More, err)
	}
}
