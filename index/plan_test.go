package index

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// files reads names like "9:1-4" and "0:5-5", with a size in KiB after "/" for those that are large.
func files(names string) []File {
	var all []File
	for name := range strings.FieldsSeq(names) {
		f := File{Size: 1000}
		spec, kib, large := strings.Cut(name, "/")
		if _, err := fmt.Sscanf(spec, "%d:%d-%d", &f.Level, &f.Min, &f.Max); err != nil {
			panic(name + ": " + err.Error())
		}
		if large {
			fmt.Sscan(kib, &f.Size)
			f.Size <<= 10
		}
		all = append(all, f)
	}
	return all
}

func names(chain []*File) string {
	var all []string
	for _, f := range chain {
		all = append(all, fmt.Sprintf("%d:%d-%d", f.Level, f.Min, f.Max))
	}
	return strings.Join(all, " ")
}

func TestPlanner(t *testing.T) {
	t.Parallel()
	const gone = "not reachable"
	for _, test := range []struct {
		name  string
		files string
		txid  TXID
		want  string
	}{
		{"snapshot and news", "9:1-4 0:5-5 0:6-6", 6, "9:1-4 0:5-5 0:6-6"},
		{"an earlier moment", "9:1-4 0:5-5 0:6-6", 5, "9:1-4 0:5-5"},
		{"one merged file instead of many small ones", "9:1-4 0:5-5 0:6-6 0:7-7 1:5-7", 7, "9:1-4 1:5-7"},
		{"the first merged file replaces the snapshot", "9:1-4/900000 1:1-9 0:10-10", 10, "1:1-9 0:10-10"},
		{"a large first merged file does not", "9:1-8 3:1-9/900000 0:9-9", 9, "9:1-8 0:9-9"},
		{"overlap to the left", "9:1-78 3:57-138", 138, "9:1-78 3:57-138"},
		{"overlap that begins with the snapshot's end", "9:1-78 3:78-138", 138, "9:1-78 3:78-138"},
		{"a file that ends where another does", "9:1-10 1:5-10 2:1-10/500 0:11-11", 11, "9:1-10 0:11-11"},
		{"a straddling file is the only way on", "9:1-10 1:8-12 1:13-20", 20, "9:1-10 1:8-12 1:13-20"},
		{"inside a merged file", "1:1-3 1:4-9 0:10-10", 6, gone},
		{"after the last", "1:1-3", 4, gone},
		{"before the first", "9:1-10", 5, gone},
		{"gap", "9:1-4 0:6-6", 6, gone},
		{"before the gap", "9:1-4 0:6-6", 4, "9:1-4"},
		{"no beginning", "1:2-4 0:5-5", 5, gone},
		{"nothing", "", 1, gone},
		{"txid 0", "9:1-4", 0, gone},
		{"only level 0", "0:1-1 0:2-2 0:3-3", 3, "0:1-1 0:2-2 0:3-3"},
		{"greedy would take the longest first", "9:1-10 3:11-30/900000 1:11-20 1:21-30", 30, "9:1-10 1:11-20 1:21-30"},
		{"merged files of several levels", "3:1-100/5000 2:101-150 1:151-160 1:161-170 0:171-171", 171,
			"3:1-100 2:101-150 1:151-160 1:161-170 0:171-171"},
	} {
		for turn := range 3 { // the order of the listing does not matter
			all := files(test.files)
			rand.New(rand.NewPCG(uint64(turn), 1)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
			chain, err := newPlanner(all, nil).chain(test.txid)
			got := names(chain)
			if errors.Is(err, ErrNotReachable) {
				got = gone
			}
			if got != test.want {
				t.Errorf("%s: got %s, %v; want %s", test.name, got, err, test.want)
			}
		}
	}
}

// A file whose page table is here is taken rather than a better one that is not.
func TestPlanner_PrefersWhatIsLoaded(t *testing.T) {
	t.Parallel()
	all := files("9:1-4/90000 0:5-5 0:6-6 9:1-6/90000")
	chain, err := newPlanner(all, func(f *File) bool { return f.Max < 6 || f.Level == 0 }).chain(6)
	if got := names(chain); err != nil || got != "9:1-4 0:5-5 0:6-6" {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestPlanner_Gap(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ files, want string }{
		{"9:1-4 0:5-5", ""},
		{"", ""},
		{"9:1-4 0:6-6 0:9-9", "transactions 0000000000000005 to 0000000000000005 "},
		{"9:1-4 0:8-8 1:7-9", "transactions 0000000000000005 to 0000000000000006 "},
		{"9:1-4 1:3-6 0:9-9", "transactions 0000000000000007 to 0000000000000008 "},
		{"0:5-5", "transactions 0000000000000001 to 0000000000000004 "},
	} {
		all := files(test.files)
		err := newPlanner(all, nil).gap(all)
		if (err == nil) != (test.want == "") || err != nil && (!errors.Is(err, ErrGap) || !strings.HasPrefix(err.Error(), test.want)) {
			t.Errorf("%s: got %v, want %q", test.files, err, test.want)
		}
	}
}

func TestReachError(t *testing.T) {
	t.Parallel()
	p := newPlanner(files("9:1-4 0:5-5 1:6-9 0:10-10"), nil)
	for txid, want := range map[TXID]string{
		2:  "txid 0000000000000002 is no longer kept: the first one is 0000000000000004",
		7:  "txid 0000000000000007 lies inside a merged file: the nearest ones that can be opened are 0000000000000005 and 0000000000000009",
		11: "txid 000000000000000b is not written yet: the last one is 000000000000000a",
	} {
		_, err := p.chain(txid)
		if !errors.Is(err, ErrNotReachable) || err.Error() != want {
			t.Errorf("%s: got %v, want %s", txid, err, want)
		}
	}
	_, err := newPlanner(nil, nil).chain(3)
	if !errors.Is(err, ErrNotReachable) || !strings.Contains(err.Error(), "no file begins with transaction 1") {
		t.Errorf("without files: %v", err)
	}
}

// On random sets of files the planner reaches what trying everything reaches, by chains that are contiguous.
func TestPlanner_AgreesWithTryingEverything(t *testing.T) {
	t.Parallel()
	for seed := range uint64(500) {
		rng := rand.New(rand.NewPCG(seed, 3))
		var all []File
		for range rng.IntN(25) {
			lo := 1 + TXID(rng.IntN(20))
			if rng.IntN(4) == 0 {
				lo = 1
			}
			all = append(all, File{Level: rng.IntN(10), Min: lo, Max: lo + TXID(rng.IntN(8)), Size: rng.Int64N(1 << 24)})
		}
		p := newPlanner(all, nil)
		want := reachable(all)
		if got := p.boundaries(); !slices.Equal(got, want) {
			t.Fatalf("seed %d: got %v, want %v", seed, got, want)
		}
		for _, txid := range want {
			chain, err := p.chain(txid)
			if err != nil {
				t.Fatal(err)
			}
			var at TXID
			for i, f := range chain {
				if i == 0 && f.Min != 1 || f.Min > at+1 || f.Max <= at {
					t.Fatalf("seed %d: %s is no chain", seed, names(chain))
				}
				at = f.Max
			}
			if at != txid {
				t.Fatalf("seed %d: %s ends at %s", seed, names(chain), at)
			}
		}
	}
}

func TestParseKey(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]File{
		"0000/0000000000000001-0000000000000001.ltx": {Level: 0, Min: 1, Max: 1},
		"0009/0000000000000001-000000000000002a.ltx": {Level: 9, Min: 1, Max: 0x2a},
		"0003/ffffffffffffffff-ffffffffffffffff.ltx": {Level: 3, Min: 1<<64 - 1, Max: 1<<64 - 1},
	} {
		level, lo, hi, ok := ParseKey(key)
		if got := (File{Level: level, Min: lo, Max: hi}); !ok || got != want || got.Key() != key {
			t.Errorf("%s: got %v, %v", key, &got, ok)
		}
	}
	for _, key := range []string{
		"", "/", "0000/", "0000", "lock.json",
		"000a/0000000000000001-0000000000000001.ltx", // no such level
		"0010/0000000000000001-0000000000000001.ltx",
		"000/0000000000000001-0000000000000001.ltx",
		"00000/0000000000000001-0000000000000001.ltx",
		"+000/0000000000000001-0000000000000001.ltx",
		"0000/000000000000001-0000000000000001.ltx",
		"0000/0000000000000000-0000000000000001.ltx", // there is no TXID 0
		"0000/0000000000000002-0000000000000001.ltx",
		"0000/000000000000000A-000000000000000A.ltx",
		"0000/0000000000000001_0000000000000001.ltx",
		"0000/0000000000000001-0000000000000001.ltx.tmp",
		"0000/0000000000000001-0000000000000001.LTX",
		"0000/0000000000000001-0000000000000001-ltx",
		"0000/x/0000000000000001-0000000000000001.ltx",
		"app/0000/0000000000000001-0000000000000001.ltx",
		"0000\\0000000000000001-0000000000000001.ltx",
		"ltx/0/0000000000000001-0000000000000001.ltx",
	} {
		if _, _, _, ok := ParseKey(key); ok {
			t.Errorf("%q was taken for a file", key)
		}
	}
}
