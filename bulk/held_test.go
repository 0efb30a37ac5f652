package bulk

import (
	"bytes"
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/faultstore"
)

// What opening has brought is not fetched again: here all files are small, and the copy takes no request, even when the files are gone.
func TestHeld_NothingTwice(t *testing.T) {
	t.Parallel()
	p, mem, _ := newReplica(t)
	held := new(Held)
	tr, err := index.Open(t.Context(), mem, index.Options{PollInterval: -1, OnLoad: held.Keep})
	must(t, err)
	v := tr.View()
	for _, f := range v.Files() {
		must(t, mem.Delete(t.Context(), f.Key()))
	}
	out := newMemory(v)
	stats, err := Copy(t.Context(), Source{Store: mem, Held: held}, v, All(v), out, Options{})
	must(t, err)
	if stats.Requests != 0 || stats.Bytes != 0 || stats.Pages != int64(v.Commit) {
		t.Errorf("took %+v", stats)
	}
	checkOnce(t, out, p.Image(v.TXID))
}

// Pieces that were kept of other moments, or that come twice, change nothing: every page is written once, and as the View has it.
func TestHeld_OtherMoments(t *testing.T) {
	t.Parallel()
	p, mem, _ := newReplica(t)
	held := new(Held)
	tr, err := index.Open(t.Context(), mem, index.Options{PollInterval: -1, OnLoad: held.Keep})
	must(t, err)
	old := tr.View()
	p.Exec(`UPDATE t SET v='x' WHERE id%50=0`)
	p.Exec(`DELETE FROM t WHERE id>3000`)
	p.Exec(`VACUUM`)
	p.Sync()
	must(t, tr.Refresh(t.Context()))
	tl, err := tr.Timeline(t.Context())
	must(t, err)
	if _, err := tl.At(t.Context(), old.TXID); err != nil {
		t.Fatal(err)
	}
	for _, v := range []*index.View{old, tr.View()} {
		out := newMemory(v)
		stats, err := Copy(t.Context(), Source{Store: mem, Mover: tr, Held: held}, v, All(v), out, Options{})
		must(t, err)
		if stats.Requests != 0 {
			t.Errorf("txid %s: %d requests", v.TXID, stats.Requests)
		}
		checkOnce(t, out, p.Image(v.TXID))
	}
}

// What does not fit is fetched.
func TestHeld_Full(t *testing.T) {
	t.Parallel()
	p, mem, _ := newReplica(t)
	held := &Held{Max: 100 << 10}
	tr, err := index.Open(t.Context(), mem, index.Options{PollInterval: -1, OnLoad: held.Keep})
	must(t, err)
	v := tr.View()
	if n := len(held.all()); n == 0 || n == len(v.Files()) {
		t.Fatalf("%d of %d files are held", n, len(v.Files()))
	}
	if held.bytes > held.Max {
		t.Errorf("%d bytes are held", held.bytes)
	}
	var reads atomic.Int64
	store := faultstore.Wrap(mem, func(context.Context, faultstore.Call) faultstore.Action {
		reads.Add(1)
		return faultstore.Action{}
	})
	out := newMemory(v)
	_, err = Copy(t.Context(), Source{Store: store, Held: held}, v, All(v), out, Options{})
	must(t, err)
	if reads.Load() == 0 {
		t.Error("nothing was fetched")
	}
	checkOnce(t, out, p.Image(v.TXID))
}

// Bytes that are held are as untrusted as those that are fetched.
func TestHeld_Corrupt(t *testing.T) {
	t.Parallel()
	_, mem, tr := newReplica(t)
	v, held := tr.View(), new(Held)
	f := v.Files()[0]
	data := make([]byte, f.Size)
	must(t, mem.ReadAt(t.Context(), objstore.Ref{Key: f.Key()}, data, 0))
	p, _ := v.Lookup(v.Commit)
	data[p.Frame.Off+3]++ // the page number of one frame
	held.Keep(v, []index.Blob{{File: f, Data: data}})
	if _, err := Copy(t.Context(), Source{Store: mem, Held: held}, v, All(v), newMemory(v), Options{}); !errors.Is(err, index.ErrCorrupt) {
		t.Errorf("got %v", err)
	}
}

// checkOnce checks that out is the image, each page written once.
func checkOnce(t *testing.T, out *memory, image []byte) {
	t.Helper()
	if !bytes.Equal(out.data, image) {
		t.Error("the copy is not the database")
	}
	for pgno, n := range out.writes {
		if n != 1 {
			t.Errorf("page %d was written %d times", pgno, n)
		}
	}
}
