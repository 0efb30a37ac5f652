package commitlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/litefs-s3/litefs-s3/index"
)

const pageSize = 512

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// pages are a transaction to be appended.
type pages []struct {
	pgno uint32
	data []byte
}

func (p pages) Len() int { return len(p) }

func (p pages) Page(i int) (uint32, []byte, error) { return p[i].pgno, p[i].data, nil }

// content is what the n-th transaction writes: n%3+1 pages.
func content(n int) (commit uint32, p pages) {
	for i := range n%3 + 1 {
		data := make([]byte, pageSize)
		binary.BigEndian.PutUint32(data, uint32(n))
		for j := 4; j < len(data); j++ {
			data[j] = byte(n*7 + i*3 + j)
		}
		p = append(p, struct {
			pgno uint32
			data []byte
		}{uint32(i*3 + 1), data})
	}
	return 20 + uint32(n), p
}

func appendOne(t testing.TB, l *Log, n int) Recorded {
	t.Helper()
	commit, p := content(n)
	rec, err := l.Append(commit, pageSize, p)
	must(t, err)
	return rec
}

// checkOne compares a transaction with the n-th.
func checkOne(t testing.TB, rec Recorded, n int) {
	t.Helper()
	commit, p := content(n)
	if rec.Seq != uint64(n) || rec.Commit != commit || len(rec.Entries) != len(p) || rec.Pages != len(p) {
		t.Fatalf("transaction %d of %d pages with size %d, want the %dth", rec.Seq, rec.Pages, rec.Commit, n)
	}
	buf := make([]byte, pageSize)
	for slot, e := range rec.Entries {
		must(t, rec.ReadPage(slot, e, buf))
		if e.Pgno != p[slot].pgno || !bytes.Equal(buf, p[slot].data) {
			t.Fatalf("transaction %d: page %d is another one", n, e.Pgno)
		}
	}
}

func open(t testing.TB, dir string, opts Options) (*Log, *Found) {
	t.Helper()
	if opts.Replica == "" {
		opts.Replica = "r"
	}
	l, found, err := Open(dir, opts)
	must(t, err)
	t.Cleanup(func() { l.Close() })
	return l, found
}

// copyDir is the disk as it is now.
func copyDir(t testing.TB, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "log")
	must(t, os.CopyFS(to, os.DirFS(dir)))
	return to
}

func checkPending(t testing.TB, found *Found, first, last int) {
	t.Helper()
	if len(found.Pending) != max(last-first+1, 0) {
		t.Fatalf("%d transactions, want %d to %d", len(found.Pending), first, last)
	}
	for i, rec := range found.Pending {
		checkOne(t, rec, first+i)
	}
}

func base(txid index.TXID) Base {
	return Base{TXID: txid, Time: time.UnixMilli(int64(txid)).UTC(), Commit: 7, File: index.File{Min: txid, Max: txid, Size: 99, ETag: "e"}}
}

// TestReplay plays random appends, seals, confirms and restarts, with small segments, under every policy.
func TestReplay(t *testing.T) {
	t.Parallel()
	for policy := EveryCommit; policy <= Never; policy++ {
		rng := rand.New(rand.NewPCG(uint64(policy), 3))
		dir := filepath.Join(t.TempDir(), "log")
		opts := Options{Policy: policy, SegmentSize: 4 << 10}
		l, _ := open(t, dir, opts)
		last, confirmed, txid := 0, 0, index.TXID(0)
		var seal *Seal
		for range 400 {
			switch rng.IntN(6) {
			case 0, 1, 2:
				last++
				checkOne(t, appendOne(t, l, last), last)
			case 3:
				if last > confirmed && seal == nil {
					seal = &Seal{TXID: txid + 1, Seq: uint64(last), Commit: 5, Digest: []byte("d")}
					must(t, l.Seal(*seal))
				}
			case 4:
				if seal != nil {
					txid++
					confirmed = int(seal.Seq)
					must(t, l.Confirm(base(txid), seal.Seq))
					seal = nil
				}
			case 5:
				if rng.IntN(2) == 0 {
					must(t, l.Close())
				} else {
					dir = copyDir(t, dir)
				}
				var found *Found
				l, found = open(t, dir, opts)
				if found.Torn != 0 {
					t.Fatalf("%d bytes torn", found.Torn)
				}
				if confirmed == last && len(found.Pending) == 0 && found.PageSize == 0 {
					// Closed with nothing to say: it begins again.
					last, confirmed, txid = 0, 0, 0
					continue
				}
				checkPending(t, found, confirmed+1, last)
				if found.Base.TXID != txid || (found.Seal == nil) != (seal == nil) || seal != nil && found.Seal.Seq != seal.Seq {
					t.Fatalf("base %s, seal %v; want %s, %v", found.Base.TXID, found.Seal, txid, seal)
				}
			}
			if n := len(segments(t, dir)); n > last-confirmed+2 {
				t.Fatalf("%d segments for %d transactions", n, last-confirmed)
			}
		}
	}
}

func segments(t testing.TB, dir string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, segmentsName, "*"+segmentSuffix))
	must(t, err)
	return paths
}

// TestW1_TornAtEveryByte cuts the log after each byte, and also goes on with garbage or zeros from there: what was whole before is
// all there, and the log can be used.
func TestW1_TornAtEveryByte(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "log")
	l, _ := open(t, dir, Options{})
	var ends []int64
	for n := 1; n <= 3; n++ {
		appendOne(t, l, n)
		ends = append(ends, l.current().end)
		if n == 2 {
			must(t, l.Seal(Seal{TXID: 1, Seq: 2, Digest: []byte("d")}))
		}
	}
	whole, err := os.ReadFile(segments(t, dir)[0])
	must(t, err)
	start := bytes.Index(whole, []byte("}")) // within the first record: the segment is none before its end
	rng := rand.New(rand.NewPCG(1, 1))
	for cut := int64(start) / 2; cut <= ends[2]; cut++ {
		want := 0
		for _, end := range ends {
			if cut >= end {
				want++
			}
		}
		tail := make([]byte, 700)
		for kind := range 3 {
			if kind > 0 && cut%7 != 0 {
				continue
			}
			torn := append([]byte(nil), whole[:cut]...)
			switch kind {
			case 1:
				torn = append(torn, tail...)
			case 2:
				for i := range tail {
					tail[i] = byte(rng.Uint32())
				}
				torn = append(torn, tail...)
				clear(tail)
			}
			checkTorn(t, torn, want, cut%31 == 0, fmt.Sprintf("cut at %d, kind %d", cut, kind))
		}
	}
}

// checkTorn reads a log with one segment, and, because that takes syncs, goes on with it only when it shall.
func checkTorn(t *testing.T, segment []byte, want int, use bool, what string) {
	t.Helper()
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, segmentsName), 0o700))
	must(t, os.WriteFile(filepath.Join(dir, segmentsName, segmentName(1)), segment, 0o600))
	r, err := Read(filepath.Join(dir, segmentsName))
	must(t, err)
	r.Close()
	if r.Damage != nil || len(r.Pending) != want {
		t.Fatalf("%s: %d transactions, want %d; damage %v", what, len(r.Pending), want, r.Damage)
	}
	if !use {
		return
	}
	for range 2 { // the second time what was cut is gone
		l, found, err := Open(dir, Options{Replica: "r", Policy: EveryCommit})
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if len(found.Pending) != want {
			t.Fatalf("%s: %d transactions, want %d", what, len(found.Pending), want)
		}
		checkPending(t, found, 1, want)
		want++
		appendOne(t, l, want)
		l.lock.Close()
		for _, s := range l.segs {
			s.file.Close()
		}
	}
}

// TestW1_DamagedAtEveryByte flips a bit in each byte of a log: a transaction that returned is there, or its absence is an error. Only
// the last one can pass for torn.
func TestW1_DamagedAtEveryByte(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "log")
	l, _ := open(t, dir, Options{})
	for n := 1; n <= 3; n++ {
		appendOne(t, l, n)
	}
	end, room := l.current().end, l.current().room
	whole, err := os.ReadFile(segments(t, dir)[0])
	must(t, err)
	if int64(len(whole)) != room || room <= end {
		t.Fatalf("a file of %d bytes, zeros from %d to %d", len(whole), end, room)
	}
	whole = whole[:end+100]
	damaged := 0
	for at := range whole {
		flipped := bytes.Clone(whole)
		flipped[at] ^= 1 << (at % 8)
		dir := t.TempDir()
		must(t, os.MkdirAll(filepath.Join(dir, segmentsName), 0o700))
		path := filepath.Join(dir, segmentsName, segmentName(1))
		must(t, os.WriteFile(path, flipped, 0o600))
		r, err := Read(filepath.Join(dir, segmentsName))
		must(t, err)
		checkPending(t, &r.Found, 1, len(r.Pending))
		r.Close()
		if r.Damage == nil && len(r.Pending) < 2 {
			t.Fatalf("byte %d: %d of 3 transactions, and no error", at, len(r.Pending))
		}
		if r.Damage == nil {
			continue
		}
		damaged++
		if _, _, err := Open(dir, Options{Replica: "r"}); !errors.Is(err, ErrDamaged) {
			t.Fatalf("byte %d: damage %v, but when opened %v", at, r.Damage, err)
		}
		left, err := os.ReadFile(path)
		must(t, err)
		if !bytes.Equal(left, flipped) {
			t.Fatalf("byte %d: a damaged log was changed", at)
		}
	}
	if damaged == 0 {
		t.Error("no damage was found")
	}
}

// TestFaults lets each write, sync and truncation fail in turn: a commit that returns an error is not there, all others are.
func TestFaults(t *testing.T) {
	t.Parallel()
	injected := errors.New("injected")
	for _, op := range []string{"write", "sync", "truncate"} {
		for nth := range 12 {
			calls := 0
			dir := filepath.Join(t.TempDir(), "log")
			opts := Options{Replica: "r", SegmentSize: 3 << 10}
			opts.Faults = func(o string) error {
				if o == op || op == "truncate" && o == "write" {
					if calls++; calls-1 == nth || op == "truncate" && calls-1 == nth+1 {
						return injected
					}
				}
				return nil
			}
			l, _ := open(t, dir, opts)
			last := 0
			var failed error
			for range 10 {
				commit, p := content(last + 1)
				rec, err := l.Append(commit, pageSize, p)
				switch {
				case err == nil:
					last++
					checkOne(t, rec, last)
				case failed == nil:
					failed = err
					if !errors.Is(err, injected) {
						t.Fatalf("%s %d: %v", op, nth, err)
					}
				case !errors.Is(err, ErrFailed):
					t.Fatalf("%s %d: first %v, then %v", op, nth, failed, err)
				}
			}
			opts.Faults = nil
			_, found := open(t, copyDir(t, dir), opts)
			if errors.Is(failed, ErrFailed) && op != "sync" && len(found.Pending) == last+1 {
				continue // nobody could know
			}
			checkPending(t, found, 1, last)
		}
	}
}

// TestLock: one at a time, also within a process.
func TestLock(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "log")
	l, _ := open(t, dir, Options{})
	if _, _, err := Open(dir, Options{Replica: "r"}); !errors.Is(err, ErrInUse) {
		t.Fatalf("the second got %v", err)
	}
	must(t, l.Close())
	open(t, dir, Options{})
	for _, path := range append(segments(t, dir), filepath.Join(dir, lockName)) {
		info, err := os.Stat(path)
		must(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
	}
}

// TestOther: a log with transactions is not taken for another replica's; one without is.
func TestOther(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "log")
	l, _ := open(t, dir, Options{})
	appendOne(t, l, 1)
	must(t, l.Close())
	if _, _, err := Open(dir, Options{Replica: "other"}); !errors.Is(err, ErrOther) {
		t.Fatalf("another replica got %v", err)
	}
	l, found := open(t, dir, Options{})
	checkPending(t, found, 1, 1)
	must(t, l.Confirm(base(1), 1))
	dir = copyDir(t, dir)
	l, found = open(t, dir, Options{Replica: "other"})
	if found.Base.TXID != 0 || found.PageSize != 0 || len(found.Pending) != 0 {
		t.Fatalf("the other replica found %+v", found)
	}
	appendOne(t, l, 2)

	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	if _, _, err := Open(file, Options{}); err == nil {
		t.Error("a file was opened as a log")
	}
}

// TestSetAside: everything is still there, under another name; the log takes nothing until it begins again.
func TestSetAside(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "log")
	l, _ := open(t, dir, Options{SegmentSize: 2 << 10})
	var held []Recorded
	for n := 1; n <= 9; n++ {
		held = append(held, appendOne(t, l, n))
	}
	must(t, l.Confirm(base(4), 2))
	now := time.Unix(1_800_000_000, 0)
	path, err := l.SetAside(now)
	must(t, err)
	if _, err := l.Append(1, pageSize, pages{}); !errors.Is(err, ErrSetAside) {
		t.Fatalf("the log that was set aside said %v", err)
	}
	for i, rec := range held {
		checkOne(t, rec, i+1)
	}
	must(t, l.Begin(base(9), pageSize))
	appendOne(t, l, 10)
	second, err := l.SetAside(now)
	must(t, err)
	if second == path {
		t.Fatal("two logs under one name")
	}
	must(t, l.Close())
	r, err := Read(path)
	must(t, err)
	defer r.Close()
	checkPending(t, &r.Found, 3, 9)
	if r.Base.TXID != 4 || r.Replica != "r" || r.Damage != nil {
		t.Errorf("%+v", r)
	}
	asides, err := Asides(dir)
	must(t, err)
	if len(asides) != 2 {
		t.Errorf("set aside: %v", asides)
	}
	_, found := open(t, dir, Options{})
	checkPending(t, found, 1, 0)
}

// FuzzReplay: whatever is in a segment, opening it neither panics nor takes memory that the file does not warrant.
func FuzzReplay(f *testing.F) {
	dir := filepath.Join(f.TempDir(), "log")
	l, _ := open(f, dir, Options{})
	for n := 1; n <= 3; n++ {
		appendOne(f, l, n)
	}
	must(f, l.Seal(Seal{TXID: 2, Seq: 3, Digest: []byte("d")}))
	must(f, l.Confirm(base(2), 2))
	whole, err := os.ReadFile(segments(f, dir)[0])
	must(f, err)
	f.Add(whole[:l.current().end])
	f.Add(whole[:l.current().end+2000])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, segment []byte) {
		dir := t.TempDir()
		must(t, os.WriteFile(filepath.Join(dir, segmentName(1)), segment, 0o600))
		r, err := Read(dir)
		if err != nil {
			return
		}
		defer r.Close()
		for _, rec := range r.Pending {
			buf := make([]byte, rec.PageSize)
			for slot, e := range rec.Entries {
				must(t, rec.ReadPage(slot, e, buf))
			}
		}
	})
}

// TestW1_DiedInRotation: a process was killed when the file of the next segment was there and empty, or not yet whole. The log goes on in
// the segment before. (A kill test found that its records then did not continue the chain.)
func TestW1_DiedInRotation(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "log")
	l, _ := open(t, dir, Options{})
	appendOne(t, l, 1)
	first, err := os.ReadFile(segments(t, dir)[0])
	must(t, err)
	must(t, l.Close())
	for _, begun := range []int{0, 1, 40, 100} {
		must(t, os.WriteFile(filepath.Join(dir, segmentsName, segmentName(2)), first[:begun], 0o600))
		l, found := open(t, dir, Options{})
		n := len(found.Pending)
		checkPending(t, found, 1, n)
		appendOne(t, l, n+1)
		must(t, l.Close())
		again, found := open(t, dir, Options{})
		checkPending(t, found, 1, n+1)
		must(t, again.Close())
	}
}
