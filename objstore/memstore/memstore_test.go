package memstore_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
	"github.com/litefs-s3/litefs-s3/objstore/storetest"
)

func TestStore(t *testing.T) {
	t.Parallel()
	open := func(*testing.T) objstore.Store { return new(memstore.Store) }
	storetest.Run(t, open)
	storetest.RunKeys(t, open, nil)
}

func TestStore_SmallPages(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(*testing.T) objstore.Store { return &memstore.Store{PageSize: 2} })
}

func TestStore_Objects(t *testing.T) {
	t.Parallel()
	clock := time.Date(2026, 11, 20, 15, 0, 0, 0, time.UTC)
	store := &memstore.Store{Now: func() time.Time { return clock }}
	made := clock.Add(-time.Hour)
	etag, err := store.Put(t.Context(), "a/b", bytes.NewReader([]byte("hello")), objstore.PutOptions{Timestamp: made})
	if err != nil {
		t.Fatal(err)
	}
	if etag != "5d41402abc4b2a76b9719d911017c592" {
		t.Errorf("got etag %s, want the MD5 of hello", etag)
	}
	all := store.Objects()
	if len(all) != 1 || all[0].Key != "a/b" || string(all[0].Data) != "hello" ||
		!all[0].Modified.Equal(clock) || !all[0].Timestamp.Equal(made) {
		t.Errorf("got %+v", all)
	}
	if keys := store.Keys(); len(keys) != 1 || keys[0] != "a/b" {
		t.Errorf("got keys %q", keys)
	}
}
