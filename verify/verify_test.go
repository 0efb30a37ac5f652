package verify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/superfly/ltx"

	"github.com/litefs-s3/litefs-s3/bulk"
	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/faultstore"
)

// What Litestream's shape of writer, compactor and retention leaves is good, at every stage.
func TestRun_GoodReplicas(t *testing.T) {
	t.Parallel()
	mem := newMem()
	p := newReplica(t, mem)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	merged := ltx.TXID(0)
	for range 60 {
		switch rnd.IntN(8) {
		case 0:
			p.Exec(`DELETE FROM t WHERE id%3=?`, rnd.IntN(3))
			p.Exec(`VACUUM`)
			p.Sync()
		case 1:
			insert(p, 100)
			p.Sync()
		case 2:
			p.Snapshot()
		case 3:
			if p.TXID > merged {
				p.Compact(1, merged+1, p.TXID)
				merged = p.TXID
			}
		case 4:
			p.Expire(0, merged)
		default:
			update(p, 5)
		}
		r := Run(t.Context(), mem, Options{})
		good(t, r)
		if r.Head != p.TXID || r.Checked != r.Files || r.Files != len(mem.Keys()) || r.Moments == 0 {
			t.Fatalf("report %+v, head %s, %d files", r, p.TXID, len(mem.Keys()))
		}
	}
}

// C1: every kind of file that must not be there is found, by name and page.
func TestC1_EveryKindOfBadFile(t *testing.T) {
	t.Parallel()
	five := pages(1, 2, 3, 4, 5)
	for _, tc := range []struct {
		name   string
		level  int
		lo, hi ltx.TXID
		data   []byte
		want   string // empty: it is fine
	}{
		{"all is well", 9, 1, 4, byHand(header(1, 4, 5), five...), ""},
		{"a page missing in a snapshot", 9, 1, 4, byHand(header(1, 4, 5), pages(1, 2, 4, 5)...), "page 3 is missing"},
		{"the last pages missing", 9, 1, 4, byHand(header(1, 4, 5), pages(1, 2, 3)...), "page 4 is missing"},
		{"the first page missing", 1, 1, 4, byHand(header(1, 4, 5), pages(2, 3, 4, 5)...), "page 1 is missing"},
		{"wrong order", 9, 1, 4, byHand(header(1, 4, 5), pages(1, 3, 2, 4, 5)...), "page 2 after page 3"},
		{"a page twice", 9, 1, 4, byHand(header(1, 4, 5), pages(1, 2, 2, 3, 4, 5)...), "page 2 after page 2"},
		{"a page above the commit size", 9, 1, 4, byHand(header(1, 4, 5), pages(1, 2, 3, 4, 5, 6)...), "page 6 is above"},
		{"another page than the index says", 9, 1, 4, byHand(header(1, 4, 5), append(pages(1, 2, 3, 4), frame{pgno: 6, index: 5, data: five[4].data})...), "page 6 instead of page 5"},
		{"a page of the wrong size", 9, 1, 4, byHand(header(1, 4, 5), append(pages(1, 2, 3, 4), frame{pgno: 5, data: five[4].data[:256]})...), "page 5 at byte"},
		{"the name of another", 9, 1, 4, byHand(header(1, 3, 5), five...), "header says"},
		{"no pages at all", 9, 1, 4, byHand(header(1, 4, 0)), "header"},
		{"cut in the middle", 9, 1, 4, byHand(header(1, 4, 5), five...)[:200], "bytes"},
		{"empty", 9, 1, 4, nil, "no LTX file"},
		{"text", 9, 1, 4, []byte(strings.Repeat("hello ", 100)), "header"},
		{"growth not written", 0, 5, 5, byHand(header(5, 5, 9), pages(1, 8, 9)...), "page 7 is missing"},
		{"growth not written to the end", 0, 5, 5, byHand(header(5, 5, 9), pages(1, 6, 7)...), "page 9 is missing"},
		{"growth written", 0, 5, 5, byHand(header(5, 5, 9), pages(1, 6, 7, 8, 9)...), ""},
		{"a shrink", 0, 5, 5, byHand(header(5, 5, 3), pages(1)...), ""},
		{"another size of the same moment", 2, 2, 4, byHand(header(2, 4, 6), pages(1, 2, 3, 4, 5, 6)...), "6 pages at that moment"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			mem := newMem()
			put(t, mem, 1, 1, 4, byHand(header(1, 4, 5), five...)) // what the others go on from
			key := put(t, mem, tc.level, tc.lo, tc.hi, tc.data)
			r := Run(t.Context(), mem, Options{})
			if tc.want == "" {
				good(t, r)
				return
			}
			bad(t, r, key, tc.want)
		})
	}
}

// C1: a database that shrank and grew again: what it grew by must be in the file, also in a merged one.
func TestC1_ShrinkAndRegrow(t *testing.T) {
	t.Parallel()
	mem := newMem()
	put(t, mem, 0, 1, 1, byHand(header(1, 1, 5), pages(1, 2, 3, 4, 5)...))
	put(t, mem, 0, 2, 2, byHand(header(2, 2, 2), pages(1)...))
	put(t, mem, 0, 3, 3, byHand(header(3, 3, 5), pages(1, 3, 4, 5)...))
	put(t, mem, 1, 2, 3, byHand(header(2, 3, 5), pages(1, 3, 4, 5)...))
	good(t, Run(t.Context(), mem, Options{}))
	key := put(t, mem, 1, 2, 3, byHand(header(2, 3, 5), pages(1, 4, 5)...)) // as if page 3 of before the shrink were still good
	bad(t, Run(t.Context(), mem, Options{}), key, "page 3 is missing")
}

// C1: the lock page of a large database is missing, as it must be, and no other page.
func TestC1_LockPage(t *testing.T) {
	t.Parallel()
	lock := ltx.LockPgno(512)
	mem := newMem()
	layout := func(lo, hi ltx.TXID, commit uint32, pgnos ...uint32) facts {
		h := header(lo, hi, commit)
		put(t, mem, 0, lo, hi, byHand(h, pages(pgnos...)...))
		f := index.File{Min: lo, Max: hi, Size: int64(len(byHand(h, pages(pgnos...)...)))}
		l, err := File(t.Context(), mem, &f)
		must(t, err)
		return factsOf(l)
	}
	base := facts{file: index.File{Min: 1, Max: 1}, pageSize: 512, commit: lock - 2, solid: 1} // too long to be made
	for _, tc := range []struct {
		name string
		next facts
		want string
	}{
		{"up to the lock page", layout(2, 2, lock, 1, lock-1), ""},
		{"beyond it", layout(2, 3, lock+2, 1, lock-1, lock+1, lock+2), ""},
		{"the page before it missing", layout(2, 4, lock+2, 1, lock+1, lock+2), fmt.Sprintf("page %d is missing", lock-1)},
		{"the page after it missing", layout(2, 5, lock+2, 1, lock-1, lock+2), fmt.Sprintf("page %d is missing", lock+1)},
		{"the last page missing", layout(2, 6, lock+2, 1, lock-1, lock+1), fmt.Sprintf("page %d is missing", lock+2)},
	} {
		problems := compareAll([]facts{base, tc.next})
		switch {
		case tc.want == "" && len(problems) > 0:
			t.Errorf("%s: %v", tc.name, problems)
		case tc.want != "" && (len(problems) != 1 || !strings.Contains(problems[0].Text, tc.want)):
			t.Errorf("%s: got %v, want %q", tc.name, problems, tc.want)
		}
	}
}

// Damage to any byte of a file is found; and so is a file that ends early or late, at any byte.
func TestFile_EveryByte(t *testing.T) {
	t.Parallel()
	mem := newMem()
	p := newReplica(t, mem)
	p.Exec(`DELETE FROM t WHERE id > 12`)
	p.Exec(`VACUUM`)
	p.Sync()
	update(p, 1)
	for _, txid := range []ltx.TXID{2, 3} {
		clean := bytes.Clone(p.Read(0, txid, txid))
		f := index.File{Min: txid, Max: txid, Size: int64(len(clean))}
		check := func(data []byte) error {
			put(t, mem, 0, txid, txid, data)
			f.Size = int64(len(data))
			_, err := File(t.Context(), mem, &f)
			return err
		}
		must(t, check(clean))
		for i := range clean {
			for _, bit := range []byte{1, 0x80} {
				data := bytes.Clone(clean)
				data[i] ^= bit
				if err := check(data); err == nil {
					harmless(t, clean, data, i)
				} else if !errors.Is(err, index.ErrCorrupt) || !strings.Contains(err.Error(), f.String()) {
					t.Fatalf("byte %d: %v", i, err)
				}
			}
			if err := check(clean[:i]); !errors.Is(err, index.ErrCorrupt) {
				t.Fatalf("cut at byte %d: %v", i, err)
			}
		}
		if err := check(append(bytes.Clone(clean), 0)); !errors.Is(err, index.ErrCorrupt) {
			t.Errorf("a byte too many: %v", err)
		}
		put(t, mem, 0, txid, txid, clean)
	}
}

// harmless checks that a damaged file which passes decodes to the same pages: other compressed bytes of the same content.
func harmless(t *testing.T, clean, damaged []byte, at int) {
	t.Helper()
	a, b := ltx.NewDecoder(bytes.NewReader(clean)), ltx.NewDecoder(bytes.NewReader(damaged))
	must(t, a.DecodeHeader())
	if err := b.DecodeHeader(); err != nil || a.Header() != b.Header() {
		t.Fatalf("byte %d: the damage was not found, and the header is another", at)
	}
	one, two := make([]byte, a.Header().PageSize), make([]byte, a.Header().PageSize)
	for {
		var h, g ltx.PageHeader
		err1, err2 := a.DecodePage(&h, one), b.DecodePage(&g, two)
		if (err1 == nil) != (err2 == nil) || h != g || !bytes.Equal(one, two) {
			t.Fatalf("byte %d: the damage was not found, and page %d is another", at, h.Pgno)
		}
		if err1 != nil {
			return
		}
	}
}

// It is never more lenient than the library.
func FuzzFile(f *testing.F) {
	clean := byHand(header(1, 4, 5), pages(1, 2, 3, 4, 5)...)
	f.Add(clean)
	f.Add(byHand(header(5, 5, 9), pages(1, 6, 7, 8, 9)...))
	f.Add(clean[:300])
	f.Fuzz(func(t *testing.T, data []byte) {
		h, _, err := ltx.DecodeHeader(bytes.NewReader(data))
		if err != nil || h.MinTXID == 0 || h.MaxTXID < h.MinTXID {
			return
		}
		mem := newMem()
		put(t, mem, 0, h.MinTXID, h.MaxTXID, data)
		file := index.File{Min: h.MinTXID, Max: h.MaxTXID, Size: int64(len(data))}
		if _, err := File(context.Background(), mem, &file); err == nil {
			if err := ltx.NewDecoder(bytes.NewReader(data)).Verify(); err != nil {
				t.Errorf("passed here, and not there: %v", err)
			}
		} else if !errors.Is(err, index.ErrCorrupt) {
			t.Errorf("not a corruption error: %v", err)
		}
	})
}

// C3: a file that somebody removed is reported, with what can still be opened.
func TestC3_Gap(t *testing.T) {
	t.Parallel()
	mem := newMem()
	p := newReplica(t, mem)
	for range 6 {
		update(p, 3)
	}
	f := index.File{Min: 4, Max: 4}
	must(t, mem.Delete(t.Context(), f.Key()))
	r := Run(t.Context(), mem, Options{})
	bad(t, r, "", "0000000000000004 to 0000000000000004")
	if r.Head != 3 || !errors.Is(r.Problems[0], index.ErrGap) {
		t.Errorf("head %s, %v", r.Head, r.Problems)
	}
	p.Snapshot() // the repair
	r = Run(t.Context(), mem, Options{})
	good(t, r)
	if r.Head != 7 || len(r.Notes) != 1 {
		t.Errorf("head %s, notes %q", r.Head, r.Notes)
	}
}

// A store that does not answer says nothing about the replica; what is bad stays bad.
func TestRun_CouldNotTell(t *testing.T) {
	t.Parallel()
	mem := newMem()
	p := newReplica(t, mem)
	for range 4 {
		update(p, 3)
	}
	for n := int64(0); ; n++ {
		fault := faultstore.FailNth(n)
		r := Run(t.Context(), fault.Wrap(mem), Options{})
		if !fault.Fired() {
			good(t, r)
			break
		}
		if r.Outcome != Unknown || len(r.Problems) != 1 || !errors.Is(r.Problems[0], faultstore.ErrInjected) {
			t.Fatalf("call %d: outcome %q, %v", n, r.Outcome, r.Problems)
		}
	}
	denied := faultstore.Wrap(mem, faultstore.Before(func(op, _ string) error {
		if op == "get" {
			return objstore.ErrAccess
		}
		return nil
	}))
	if r := Run(t.Context(), denied, Options{}); r.Outcome != Unknown {
		t.Errorf("denied: %q", r.Outcome)
	}
	put(t, mem, 0, 3, 3, []byte("rubbish"))
	fault := faultstore.FailNth(2)
	if r := Run(t.Context(), fault.Wrap(mem), Options{Concurrency: 1}); r.Outcome != Bad {
		t.Errorf("bad, and another not read: %q, %v", r.Outcome, r.Problems)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r := Run(ctx, mem, Options{}); r.Outcome != Unknown {
		t.Errorf("cancelled: %q", r.Outcome)
	}
	if r := Run(t.Context(), newMem(), Options{}); r.Outcome != Bad || !errors.Is(r.Problems[0], index.ErrNoReplica) {
		t.Errorf("nothing there: %q", r.Outcome)
	}
}

// Files that are merged away meanwhile are no problem, and those that took their place are looked at too.
func TestRun_BesideACompactor(t *testing.T) {
	t.Parallel()
	mem := newMem()
	p := newReplica(t, mem)
	for range 10 {
		update(p, 3)
	}
	once := false
	store := faultstore.Wrap(mem, faultstore.Before(func(op, _ string) error {
		if op == "get" && !once {
			once = true
			p.Compact(1, 1, p.TXID)
			p.Expire(0, p.TXID)
		}
		return nil
	}))
	r := Run(t.Context(), store, Options{Concurrency: 1})
	good(t, r)
	if r.Checked == 0 || r.Files != 1 || r.Head != p.TXID {
		t.Errorf("report %+v", r)
	}
}

// A sample ends when its time is up, and says how much it saw; what it sees of bad files it reports.
func TestRun_Sample(t *testing.T) {
	t.Parallel()
	mem := newMem()
	p := newReplica(t, mem)
	for range 20 {
		update(p, 3)
	}
	slow := faultstore.Wrap(mem, func(context.Context, faultstore.Call) faultstore.Action {
		return faultstore.Action{Delay: 20 * time.Millisecond}
	})
	r := Run(t.Context(), slow, Options{Budget: 70 * time.Millisecond, Concurrency: 1})
	if r.Outcome == Bad || r.Checked+r.Partly >= r.Files || !r.Sample {
		t.Errorf("report %+v", r)
	}
	if r := Run(t.Context(), slow, Options{Budget: time.Nanosecond}); r.Outcome != Unknown {
		t.Errorf("no time at all: %q", r.Outcome)
	}
	key := put(t, mem, 0, 5, 5, []byte("rubbish"))
	bad(t, Run(t.Context(), mem, Options{Budget: time.Minute}), key, "no LTX file")
}

// The report is JSON that a script can read.
func TestReport_JSON(t *testing.T) {
	t.Parallel()
	mem := newMem()
	newReplica(t, mem)
	put(t, mem, 0, 2, 2, []byte("rubbish"))
	b, err := json.Marshal(Run(t.Context(), mem, Options{}))
	must(t, err)
	var got struct {
		Outcome  string
		Head     string
		Problems []struct{ Outcome, Key, Text string }
		Notes    []string
	}
	must(t, json.Unmarshal(b, &got))
	if got.Outcome != "bad" || len(got.Problems) != 1 || got.Problems[0].Key != "0000/0000000000000002-0000000000000002.ltx" || got.Notes == nil {
		t.Errorf("%s", b)
	}
}

// A deep check gives the database of any moment, and nothing when it cannot.
func TestDeep(t *testing.T) {
	t.Parallel()
	mem := newMem()
	p := newReplica(t, mem)
	for range 5 {
		update(p, 3)
	}
	tr, err := index.Open(t.Context(), mem, index.Options{PollInterval: -1})
	must(t, err)
	tl, err := tr.Timeline(t.Context())
	must(t, err)
	dir := t.TempDir()
	for _, txid := range tl.TXIDs() {
		v, err := tl.At(t.Context(), txid)
		must(t, err)
		image, err := Deep(t.Context(), bulk.Source{Store: mem, Mover: tr}, v, dir, nil)
		must(t, err)
		got, err := os.ReadFile(image.Path)
		must(t, err)
		if !bytes.Equal(got, p.Image(txid)) || image.TXID != txid || image.Bytes != int64(len(got)) {
			t.Errorf("at %s: %d bytes, %+v", txid, len(got), image)
		}
		must(t, image.Remove())
	}
	if _, err := Deep(t.Context(), bulk.Source{Store: faultstore.FailNth(0).Wrap(mem), Mover: tr}, tr.View(), dir, nil); !errors.Is(err, faultstore.ErrInjected) {
		t.Errorf("got %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	r := Run(t.Context(), mem, Options{})
	r.Judge(3, "ok", nil)
	good(t, r)
	r.Judge(3, "row 7 missing from index tv", nil)
	bad(t, r, "", "row 7 missing")
}
