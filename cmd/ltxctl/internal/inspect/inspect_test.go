package inspect_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/superfly/ltx"

	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/fixture"
	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/inspect"
	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

func TestHeadersAndPages_AgreeWithTheDecoder(t *testing.T) {
	t.Parallel()
	store := fixture.Store(t, fixture.File{Level: 9, Min: 1, Max: 4, Commit: 30_000}, fixture.File{Min: 5, Max: 5, Commit: 30_001})
	files, err := inspect.List(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(inspect.Headers(t.Context(), store, files), inspect.Pages(t.Context(), store, files)); err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		h, pages := decode(t, store, f.Key())
		if *f.Header != h || f.Pages != pages || !f.Time().Equal(fixture.At(uint64(f.Max))) {
			t.Errorf("%s: header %+v, %d pages, want %+v, %d", &f.File, *f.Header, f.Pages, h, pages)
		}
	}
}

// decode reads a whole file with the library.
func decode(t *testing.T, store *memstore.Store, key string) (ltx.Header, int) {
	t.Helper()
	i := slices.IndexFunc(store.Objects(), func(o memstore.Object) bool { return o.Key == key })
	dec := ltx.NewDecoder(bytes.NewReader(store.Objects()[i].Data))
	if err := dec.DecodeHeader(); err != nil {
		t.Fatal(err)
	}
	for n := 0; ; n++ {
		var h ltx.PageHeader
		switch err := dec.DecodePage(&h, make([]byte, fixture.PageSize)); {
		case err == io.EOF:
			return dec.Header(), n
		case err != nil:
			t.Fatal(err)
		}
	}
}

func TestHeadersAndPages_OfDamagedFilesAreCorrupt(t *testing.T) {
	t.Parallel()
	whole := fixture.Store(t, fixture.File{Min: 1, Max: 1}).Objects()[0]
	for name, damage := range map[string]func([]byte) []byte{
		"empty":           func([]byte) []byte { return nil },
		"cut in the head": func(b []byte) []byte { return b[:50] },
		"cut in the tail": func(b []byte) []byte { return b[:len(b)-20] },
		"no magic":        func(b []byte) []byte { b[0] = 'X'; return b },
		"of other txids":  func(b []byte) []byte { b[23]++; return b },
		"absurd index":    func(b []byte) []byte { copy(b[len(b)-24:], "\xff\xff\xff\xff\xff\xff\xff\xff"); return b },
		"endless index":   func(b []byte) []byte { copy(b[len(b)-40:], bytes.Repeat([]byte{0x80}, 16)); return b },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := new(memstore.Store)
			if _, err := store.Put(t.Context(), whole.Key, bytes.NewReader(damage(bytes.Clone(whole.Data))), objstore.PutOptions{}); err != nil {
				t.Fatal(err)
			}
			files, err := inspect.List(t.Context(), store)
			if err != nil {
				t.Fatal(err)
			}
			err = errors.Join(inspect.Headers(t.Context(), store, files), inspect.Pages(t.Context(), store, files))
			if !errors.Is(err, index.ErrCorrupt) || !strings.Contains(err.Error(), "L0/0000000000000001-0000000000000001") {
				t.Errorf("got %v, want an error that names the file", err)
			}
		})
	}
}

func TestList_OfNoReplicaSaysWhatIsThere(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ key, want string }{
		"nothing":      {"", "nothing is stored"},
		"v0.3":         {"generations/0123456789abcdef/snapshots/00000001.snapshot.lz4", "v0.3"},
		"deeper":       {"app/0000/0000000000000001-0000000000000001.ltx", `"app" below it`},
		"other things": {"photo.jpg", "other objects"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := new(memstore.Store)
			if c.key != "" {
				store.Put(t.Context(), c.key, strings.NewReader("x"), objstore.PutOptions{})
			}
			if _, err := inspect.List(t.Context(), store); !errors.Is(err, index.ErrNoReplica) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q in it", err, c.want)
			}
		})
	}
}

func summarize(t *testing.T, store objstore.Store, now time.Time) *inspect.Summary {
	t.Helper()
	metrics := objstore.NewMetrics(store)
	s, err := inspect.Replica(t.Context(), metrics, metrics, now)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestReplica_Summary(t *testing.T) {
	t.Parallel()
	store := fixture.Store(t,
		fixture.File{Level: 9, Min: 1, Max: 10}, fixture.File{Level: 1, Min: 1, Max: 5}, fixture.File{Level: 1, Min: 6, Max: 10},
		fixture.File{Level: 1, Min: 11, Max: 15}, fixture.File{Min: 14, Max: 14}, fixture.File{Min: 15, Max: 15}, fixture.File{Min: 16, Max: 16, Commit: 12})
	s := summarize(t, store, fixture.At(18))
	if s.Head.TXID != 16 || !s.Head.Time.Equal(fixture.At(16)) || s.Age != 2 || s.Pages != 12 || s.Bytes != 12*4096 {
		t.Errorf("head is %+v, %v s, %d pages", s.Head, s.Age, s.Pages)
	}
	// 14 lies inside a file of level 1, and no chain reaches it.
	if s.Window.First.TXID != 5 || s.Window.Moments != 4 || s.Stored.Files != 7 {
		t.Errorf("window is %+v, stored %+v", s.Window, s.Stored)
	}
	want := []inspect.Level{
		{Level: 9, Files: 1, Points: 1, TXIDs: inspect.Range{Min: 1, Max: 10}},
		{Level: 1, Files: 3, Points: 3, TXIDs: inspect.Range{Min: 1, Max: 15}, Spacing: 5},
		{Level: 0, Files: 3, Points: 2, TXIDs: inspect.Range{Min: 14, Max: 16}, Spacing: 1},
	}
	for i, l := range s.Levels {
		w := want[i]
		if l.Level != w.Level || l.Files != w.Files || l.Points != w.Points || l.TXIDs != w.TXIDs || l.Spacing != w.Spacing {
			t.Errorf("level is %+v, want %+v", l, w)
		}
	}
	if s.Health != inspect.OK || len(s.Notes) != 0 || len(s.Missing) != 0 || s.Opening.Requests == 0 {
		t.Errorf("health %q, notes %v, missing %v, opening %+v", s.Health, s.Notes, s.Missing, s.Opening)
	}
}

func TestReplica_Notes(t *testing.T) {
	t.Parallel()
	one, two, four := fixture.File{Min: 1, Max: 1}, fixture.File{Min: 2, Max: 2}, fixture.File{Min: 4, Max: 4}
	for name, c := range map[string]struct {
		files  []fixture.File
		extra  string
		after  time.Duration
		health string
		note   string
	}{
		"a gap":                    {[]fixture.File{one, two, four}, "", 0, inspect.Damaged, "0000000000000003"},
		"no snapshot":              {[]fixture.File{one, two}, "", 0, inspect.OK, "no snapshot"},
		"level 1 lags":             {[]fixture.File{{Level: 9, Min: 1, Max: 1}, two, {Min: 3, Max: 3}}, "", time.Hour, inspect.Warning, "level 1 lags"},
		"written in the future":    {[]fixture.File{{Level: 9, Min: 1, Max: 1}}, "", -time.Hour, inspect.Warning, "clock"},
		"beside a replica of v0.3": {[]fixture.File{{Level: 9, Min: 1, Max: 1}}, "generations/0/wal", 0, inspect.OK, "v0.3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := fixture.Store(t, c.files...)
			if c.extra != "" {
				store.Put(t.Context(), c.extra, strings.NewReader("x"), objstore.PutOptions{})
			}
			s := summarize(t, store, fixture.At(5).Add(c.after))
			if s.Health != c.health || !slices.ContainsFunc(s.Notes, func(n inspect.Note) bool { return strings.Contains(n.Text, c.note) }) {
				t.Errorf("health %q, notes %v; want %q and a note of %q", s.Health, s.Notes, c.health, c.note)
			}
		})
	}
}

func TestReplica_CancelledReturnsThat(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	metrics := objstore.NewMetrics(fixture.Store(t, fixture.File{Min: 1, Max: 1}))
	if _, err := inspect.Replica(ctx, metrics, metrics, time.Now()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
