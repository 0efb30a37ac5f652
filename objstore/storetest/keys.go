package storetest

import (
	"slices"
	"strings"
	"testing"

	"github.com/litefs-s3/litefs-s3/objstore"
)

// Keys are keys that went wrong somewhere: bytes that URLs, signatures, XML or file systems treat in their own way.
var Keys = []string{
	"lock.json",
	"b",
	"a b",
	"a+b",
	"a%20b",
	"a%2Fb",
	"a%",
	"a&b=c",
	"a?b",
	"a#b",
	"a;b,c:d@e$f!g'h(i)j*k",
	"a<b>\"c\"",
	"a~b_c.d-e",
	"a/b",
	"a-b/c", // sorts before a/b although a folder walk meets it after
	"dbs/München/データ/🙂.ltx",
	"dbs/..hidden/...",
	strings.Repeat("deep/", 20) + "file",
}

// RunKeys checks that every key of Keys is stored, listed and read back as itself. skip says which ones the store
// refuses by design; they must be errors, not other objects.
func RunKeys(t *testing.T, open func(t *testing.T) objstore.Store, skip func(key string) bool) {
	store := open(t)
	var want []string
	for i, key := range Keys {
		if skip != nil && skip(key) {
			_, err := store.ReadPrefix(t.Context(), objstore.Ref{Key: key}, 1)
			checkOpError(t, err, "get", key)
			continue
		}
		data := Content(uint64(i), 20)
		etag := put(t, store, key, data, objstore.PutOptions{})
		checkContent(t, store, objstore.Ref{Key: key, ETag: etag}, data)
		want = append(want, key)
	}
	slices.Sort(want)
	checkKeys(t, store, "", "", want)
	for i, key := range want {
		checkKeys(t, store, "", key, want[i+1:])
		all, err := objstore.ListAll(t.Context(), store, key, "")
		if err != nil || len(all) == 0 || all[0].Key != key {
			t.Errorf("list %q: got %v and %v", key, all, err)
		}
	}
	if err := store.Delete(t.Context(), want...); err != nil {
		t.Fatal(err)
	}
	checkKeys(t, store, "", "", nil)
}
