package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/litefs-s3/litefs-s3/objstore"
)

// Key returns the key of the LTX file of one level that holds the TXIDs from minTXID to maxTXID.
func Key(level int, minTXID, maxTXID uint64) string {
	return fmt.Sprintf("%04x/%016x-%016x.ltx", level, minTXID, maxTXID)
}

// Content returns n bytes that differ from one seed to the next.
func Content(seed uint64, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(b)
	return b
}

// Run checks the whole contract. open returns a new and empty store for each test; what must be closed afterwards it
// hands to t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) objstore.Store) {
	t.Run("read", func(t *testing.T) {
		RunReadOnly(t, func(t *testing.T, objects map[string][]byte) objstore.Store {
			store := open(t)
			Fill(t, store, objects)
			return store
		})
	})
	for _, test := range []struct {
		name string
		run  func(*testing.T, objstore.Store)
	}{
		{"put then read", testPutThenRead},
		{"put replaces", testPutReplaces},
		{"put begins at byte 0", testPutBeginsAtByteZero},
		{"put of a large object", testPutLarge},
		{"put only creates", testOnlyCreate},
		{"put only creates for one of many", testOnlyCreateRace},
		{"put only over a match", testIfMatch},
		{"put over a match for one of many", testIfMatchRace},
		{"put with contradicting conditions", testContradiction},
		{"put with a body that fails", testPutBrokenBody},
		{"put with an ended context", testPutCanceled},
		{"put and reads at once", testPutWhileReading},
		{"delete", testDelete},
		{"delete many", testDeleteMany},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, open(t))
		})
	}
}

// Fill puts objects into store, several at a time.
func Fill(t *testing.T, store objstore.Putter, objects map[string][]byte) {
	t.Helper()
	var wg sync.WaitGroup
	slots := make(chan struct{}, 16)
	for key, data := range objects {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if _, err := store.Put(t.Context(), key, bytes.NewReader(data), objstore.PutOptions{}); err != nil {
				t.Errorf("put %s: %v", key, err)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

func put(t *testing.T, store objstore.Putter, key string, data []byte, opts objstore.PutOptions) string {
	t.Helper()
	etag, err := store.Put(t.Context(), key, bytes.NewReader(data), opts)
	if err != nil {
		t.Fatalf("put %s: %v", key, err)
	}
	if etag == "" || strings.ContainsAny(etag, `"`) {
		t.Fatalf("put %s: etag %q, want one without quotes", key, etag)
	}
	return etag
}

// checkContent reads an object in all three ways.
func checkContent(t *testing.T, store objstore.RangeReader, ref objstore.Ref, want []byte) {
	t.Helper()
	got := make([]byte, len(want))
	if err := store.ReadAt(t.Context(), ref, got, 0); err != nil {
		t.Fatalf("read %s: %v", ref.Key, err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("read %s: not the bytes that were put", ref.Key)
	}
	suffix, err := store.ReadSuffix(t.Context(), ref, int64(len(want))+1)
	checkPart(t, suffix, err, want, 0, int64(len(want)))
	prefix, err := store.ReadPrefix(t.Context(), ref, int64(len(want))+1)
	checkPart(t, prefix, err, want, 0, int64(len(want)))
}

func checkPart(t *testing.T, part objstore.Part, err error, data []byte, off, size int64) {
	t.Helper()
	switch {
	case err != nil:
		t.Fatalf("got %v, want %d bytes from byte %d", err, len(data), off)
	case part.Off != off || part.Size != size:
		t.Fatalf("got off %d of size %d, want %d of %d", part.Off, part.Size, off, size)
	case !bytes.Equal(part.Data, data):
		t.Fatalf("got %d other bytes than the %d put from byte %d", len(part.Data), len(data), off)
	}
}

// checkError wants an OpError about key that is target.
func checkError(t *testing.T, err error, op, key string, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Fatalf("%s %s: got %v, want %v", op, key, err, target)
	}
	checkOpError(t, err, op, key)
}

// checkOpError allows a longer key, for decorators that put something in front of it.
func checkOpError(t *testing.T, err error, op, key string) {
	t.Helper()
	var opErr *objstore.OpError
	switch {
	case err == nil:
		t.Fatalf("%s %q: no error", op, key)
	case !errors.As(err, &opErr):
		t.Fatalf("%s %q: %v is no OpError", op, key, err)
	case opErr.Op != op || !strings.HasSuffix(opErr.Key, key):
		t.Fatalf("got an error about %s %q, want %s %q: %v", opErr.Op, opErr.Key, op, key, err)
	}
}

func testPutThenRead(t *testing.T, store objstore.Store) {
	for i, size := range []int{0, 1, 1000, 70_000} {
		key, data := Key(0, uint64(i+1), uint64(i+1)), Content(uint64(i), size)
		etag := put(t, store, key, data, objstore.PutOptions{Timestamp: time.Date(2026, 11, 20, 15, 11, 12, 54e7, time.UTC)})
		checkContent(t, store, objstore.Ref{Key: key}, data)
		checkContent(t, store, objstore.Ref{Key: key, ETag: etag}, data)
	}
	all, err := objstore.ListAll(t.Context(), store, "", "")
	if err != nil || len(all) != 4 {
		t.Fatalf("got %d objects and %v, want 4", len(all), err)
	}
	for _, info := range all {
		part, err := store.ReadPrefix(t.Context(), objstore.Ref{Key: info.Key, ETag: info.ETag}, 1)
		if err != nil || part.Size != info.Size || part.ETag != info.ETag {
			t.Errorf("%s: listed as %+v, read as %+v and %v", info.Key, info, part, err)
		}
	}
}

func testPutReplaces(t *testing.T, store objstore.Store) {
	key := Key(9, 1, 7)
	old := put(t, store, key, Content(1, 100), objstore.PutOptions{})
	etag := put(t, store, key, Content(2, 100), objstore.PutOptions{})
	if old == etag {
		t.Fatalf("both versions have the etag %s", etag)
	}
	checkContent(t, store, objstore.Ref{Key: key, ETag: etag}, Content(2, 100))
	_, err := store.ReadSuffix(t.Context(), objstore.Ref{Key: key, ETag: old}, 10)
	checkError(t, err, "get", key, objstore.ErrChanged)
	_, err = store.ReadPrefix(t.Context(), objstore.Ref{Key: key, ETag: old}, 10)
	checkError(t, err, "get", key, objstore.ErrChanged)
	err = store.ReadAt(t.Context(), objstore.Ref{Key: key, ETag: old}, make([]byte, 10), 0)
	checkError(t, err, "get", key, objstore.ErrChanged)
}

func testPutBeginsAtByteZero(t *testing.T, store objstore.Store) {
	key, data := Key(0, 1, 1), Content(3, 100)
	body := bytes.NewReader(data)
	if _, err := body.Seek(60, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Put(t.Context(), key, body, objstore.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	checkContent(t, store, objstore.Ref{Key: key}, data)
}

// testPutLarge is above the size from which s3store uploads in parts in its tests.
func testPutLarge(t *testing.T, store objstore.Store) {
	key, data := Key(9, 1, 9), Content(4, 11<<20+1)
	etag := put(t, store, key, data, objstore.PutOptions{OnlyCreate: true})
	checkContent(t, store, objstore.Ref{Key: key, ETag: etag}, data)
	_, err := store.Put(t.Context(), key, bytes.NewReader(data), objstore.PutOptions{OnlyCreate: true})
	checkError(t, err, "put", key, objstore.ErrExists)
}

func testOnlyCreate(t *testing.T, store objstore.Store) {
	key, first := Key(0, 1, 1), Content(1, 50)
	etag := put(t, store, key, first, objstore.PutOptions{OnlyCreate: true})
	for _, data := range [][]byte{first, Content(2, 50)} {
		_, err := store.Put(t.Context(), key, bytes.NewReader(data), objstore.PutOptions{OnlyCreate: true})
		checkError(t, err, "put", key, objstore.ErrExists)
	}
	checkContent(t, store, objstore.Ref{Key: key, ETag: etag}, first)
}

const racers = 16

// race lets several callers put at once and returns the index and ETag of those that succeeded.
func race(t *testing.T, store objstore.Store, key string, opts objstore.PutOptions, lost error) map[int]string {
	t.Helper()
	var (
		mu   sync.Mutex
		won  = map[int]string{} // guarded by mu
		wg   sync.WaitGroup
		gate = make(chan struct{})
	)
	for i := range racers {
		wg.Go(func() {
			<-gate
			etag, err := store.Put(t.Context(), key, bytes.NewReader(Content(uint64(i), 5000)), opts)
			switch {
			case err == nil:
				mu.Lock()
				defer mu.Unlock()
				won[i] = etag
			case !errors.Is(err, lost) && !errors.Is(err, objstore.ErrTemporary):
				t.Errorf("racer %d: got %v, want %v", i, err, lost)
			}
		})
	}
	close(gate)
	wg.Wait()
	return won
}

func testOnlyCreateRace(t *testing.T, store objstore.Store) {
	for txid := range uint64(5) {
		key := Key(0, txid+1, txid+1)
		checkOneWinner(t, store, key, race(t, store, key, objstore.PutOptions{OnlyCreate: true}, objstore.ErrExists))
	}
}

func testIfMatchRace(t *testing.T, store objstore.Store) {
	for txid := range uint64(5) {
		key := Key(0, txid+1, txid+1)
		etag := put(t, store, key, Content(99, 10), objstore.PutOptions{})
		checkOneWinner(t, store, key, race(t, store, key, objstore.PutOptions{IfMatch: etag}, objstore.ErrChanged))
	}
}

func checkOneWinner(t *testing.T, store objstore.Store, key string, won map[int]string) {
	t.Helper()
	if len(won) != 1 {
		t.Fatalf("%s: %d racers won, want 1", key, len(won))
	}
	for i, etag := range won {
		checkContent(t, store, objstore.Ref{Key: key, ETag: etag}, Content(uint64(i), 5000))
	}
}

func testIfMatch(t *testing.T, store objstore.Store) {
	key := Key(0, 1, 1)
	_, err := store.Put(t.Context(), key, bytes.NewReader(Content(0, 9)), objstore.PutOptions{IfMatch: "0123456789abcdef"})
	checkError(t, err, "put", key, objstore.ErrChanged)
	_, err = store.ReadPrefix(t.Context(), objstore.Ref{Key: key}, 1)
	checkError(t, err, "get", key, objstore.ErrNotFound)

	first := put(t, store, key, Content(1, 50), objstore.PutOptions{})
	second := put(t, store, key, Content(2, 50), objstore.PutOptions{IfMatch: first})
	checkContent(t, store, objstore.Ref{Key: key, ETag: second}, Content(2, 50))
	_, err = store.Put(t.Context(), key, bytes.NewReader(Content(3, 50)), objstore.PutOptions{IfMatch: first})
	checkError(t, err, "put", key, objstore.ErrChanged)
	checkContent(t, store, objstore.Ref{Key: key, ETag: second}, Content(2, 50))
}

func testContradiction(t *testing.T, store objstore.Store) {
	_, err := store.Put(t.Context(), Key(0, 1, 1), bytes.NewReader(nil), objstore.PutOptions{OnlyCreate: true, IfMatch: "e"})
	checkOpError(t, err, "put", Key(0, 1, 1))
	checkKeys(t, store, "", "", nil)
}

// brokenBody fails after half of its bytes.
type brokenBody struct{ *bytes.Reader }

var errBroken = errors.New("the disk is on fire")

func (b brokenBody) Read(p []byte) (int, error) {
	if half := b.Size() / 2; int64(b.Len()) <= half {
		return 0, errBroken
	} else if int64(len(p)) > int64(b.Len())-half {
		p = p[:int64(b.Len())-half]
	}
	return b.Reader.Read(p)
}

func testPutBrokenBody(t *testing.T, store objstore.Store) {
	_, err := store.Put(t.Context(), Key(0, 1, 1), brokenBody{bytes.NewReader(Content(1, 300_000))}, objstore.PutOptions{})
	checkOpError(t, err, "put", Key(0, 1, 1))
	checkKeys(t, store, "", "", nil)
}

func testPutCanceled(t *testing.T, store objstore.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := store.Put(ctx, Key(0, 1, 1), bytes.NewReader(Content(1, 10)), objstore.PutOptions{})
	checkError(t, err, "put", Key(0, 1, 1), context.Canceled)
	checkError(t, store.Delete(ctx, Key(0, 1, 1)), "delete", Key(0, 1, 1), context.Canceled)
	checkKeys(t, store, "", "", nil)
}

// testPutWhileReading wants every read to see one version and nothing in between.
func testPutWhileReading(t *testing.T, store objstore.Store) {
	const size = 64 << 10
	key := Key(9, 1, 1)
	put(t, store, key, bytes.Repeat([]byte{0}, size), objstore.PutOptions{})
	var (
		stop    atomic.Bool
		readers sync.WaitGroup
	)
	for range 3 {
		readers.Go(func() {
			for !stop.Load() {
				part, err := store.ReadPrefix(t.Context(), objstore.Ref{Key: key}, size+1)
				if err != nil {
					t.Errorf("read beside a put: %v", err)
					return
				}
				if len(part.Data) != size || bytes.Count(part.Data, part.Data[:1]) != size {
					t.Error("a read saw a mixture of two versions")
					return
				}
			}
		})
	}
	for i := range 30 {
		put(t, store, key, bytes.Repeat([]byte{byte(i + 1)}, size), objstore.PutOptions{})
	}
	stop.Store(true)
	readers.Wait()
}

func testDelete(t *testing.T, store objstore.Store) {
	kept, gone := Key(0, 1, 1), Key(0, 2, 2)
	put(t, store, kept, Content(1, 10), objstore.PutOptions{})
	put(t, store, gone, Content(2, 10), objstore.PutOptions{})
	for range 2 { // a key that is not there counts as removed
		if err := store.Delete(t.Context(), gone, Key(3, 4, 5)); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.Delete(t.Context()); err != nil {
		t.Fatalf("delete nothing: %v", err)
	}
	_, err := store.ReadSuffix(t.Context(), objstore.Ref{Key: gone}, 1)
	checkError(t, err, "get", gone, objstore.ErrNotFound)
	checkKeys(t, store, "", "", []string{kept})
	put(t, store, gone, Content(3, 10), objstore.PutOptions{OnlyCreate: true})
	checkContent(t, store, objstore.Ref{Key: gone}, Content(3, 10))
}

// testDeleteMany is one more than fits into a batch of S3. Most of the keys are not there, which must not matter.
func testDeleteMany(t *testing.T, store objstore.Store) {
	var keys []string
	for i := range uint64(1001) {
		keys = append(keys, Key(0, i+1, i+1))
	}
	for _, i := range []int{0, 500, 999, 1000} {
		put(t, store, keys[i], Content(1, 1), objstore.PutOptions{})
	}
	if err := store.Delete(t.Context(), keys...); err != nil {
		t.Fatal(err)
	}
	checkKeys(t, store, "", "", nil)
}

func checkKeys(t *testing.T, store objstore.Lister, prefix, startAfter string, want []string) {
	t.Helper()
	all, err := objstore.ListAll(t.Context(), store, prefix, startAfter)
	if err != nil {
		t.Fatalf("list %q after %q: %v", prefix, startAfter, err)
	}
	var got []string
	for _, info := range all {
		got = append(got, info.Key)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("list %q after %q:\n got %q\nwant %q", prefix, startAfter, got, want)
	}
}
