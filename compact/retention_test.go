package compact

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/litefs-s3/litefs-s3/index"
)

// aged is a file that the store got so long ago.
func aged(level int, lo, hi index.TXID, age time.Duration) index.File {
	return index.File{Level: level, Min: lo, Max: hi, Size: 1000, ETag: "x", Modified: start.Add(-age)}
}

// each are the single transactions of a stretch, a second apart, the last of the given age.
func each(lo, hi index.TXID, age time.Duration) []index.File {
	var all []index.File
	for txid := lo; txid <= hi; txid++ {
		all = append(all, aged(0, txid, txid, age+time.Duration(hi-txid)*time.Second))
	}
	return all
}

func short(f *index.File) string { return fmt.Sprintf("L%d/%d-%d", f.Level, f.Min, f.Max) }

// What may go, and what must not.
func TestRetention(t *testing.T) {
	t.Parallel()
	const minute, hour = time.Minute, time.Hour
	for _, tc := range []struct {
		name  string
		files [][]index.File
		want  []string
	}{
		{"single transactions that were merged long ago; the newest stays", [][]index.File{
			{aged(9, 1, 1, hour)}, each(2, 5, 10*minute), {aged(1, 2, 5, 9*minute)},
		}, []string{"L0/2-2", "L0/3-3", "L0/4-4"}},
		{"merged a moment ago", [][]index.File{
			{aged(9, 1, 1, hour)}, each(2, 5, 10*minute), {aged(1, 2, 5, 4*minute)},
		}, nil},
		{"young themselves", [][]index.File{
			{aged(9, 1, 1, hour)}, each(2, 5, 4*minute), {aged(1, 2, 5, 6*minute)},
		}, nil},
		{"a young one is reached through old ones", [][]index.File{
			{aged(9, 1, 1, hour)}, each(2, 5, 5*minute-time.Second), {aged(1, 2, 5, 6*minute)},
		}, nil},
		{"merged in a file that cannot be opened", [][]index.File{
			{aged(9, 1, 1, hour)}, each(3, 5, 10*minute), {aged(1, 3, 5, 9*minute)},
		}, nil},
		{"a whole database at level 0 is not replaced by more", [][]index.File{
			{aged(0, 1, 1, 20*hour)}, each(2, 5, 10*minute), {aged(1, 1, 5, 9*minute)},
		}, []string{"L0/2-2", "L0/3-3", "L0/4-4"}},
		{"merged by level 2 alone", [][]index.File{
			{aged(9, 1, 1, hour)}, each(2, 5, 10*minute), {aged(2, 2, 5, 9*minute)},
		}, []string{"L0/2-2", "L0/3-3", "L0/4-4"}},
		{"only a snapshot covers them", [][]index.File{
			{aged(9, 1, 1, hour), aged(9, 1, 5, hour)}, each(2, 5, 2*hour),
		}, nil},
		{"merged files below the base; of each level the newest stays", [][]index.File{
			{aged(1, 2, 5, 30*hour), aged(1, 6, 9, 29*hour), aged(1, 10, 12, 20*hour)},
			{aged(2, 2, 9, 29*hour)},
			{aged(9, 1, 1, 50*hour), aged(9, 1, 9, 25*hour), aged(9, 1, 12, hour)},
		}, []string{"L1/2-5", "L1/6-9", "L9/1-1"}},
		{"nothing is older than the window", [][]index.File{
			{aged(1, 2, 5, 23*hour), aged(1, 6, 9, 22*hour)},
			{aged(9, 1, 1, 23*hour), aged(9, 1, 9, 20*hour)},
		}, nil},
		{"the newest snapshot is old, and stays as the base", [][]index.File{
			{aged(1, 2, 5, 80*hour), aged(1, 6, 9, 70*hour)},
			{aged(9, 1, 1, 90*hour), aged(9, 1, 5, 75*hour)},
		}, []string{"L1/2-5", "L9/1-1"}},
		{"a file that straddles the base stays", [][]index.File{
			{aged(1, 2, 5, 40*hour), aged(1, 6, 12, 39*hour), aged(1, 13, 15, 20*hour)},
			{aged(9, 1, 1, 90*hour), aged(9, 1, 9, 30*hour)},
		}, []string{"L1/2-5", "L9/1-1"}},
	} {
		files := slices.Concat(tc.files...)
		slices.SortFunc(files, func(a, b index.File) int { return (a.Level-b.Level)*100 + int(a.Max) - int(b.Max) })
		var got []string
		for _, d := range (retention{Options{}.withDefaults(), start}).removable(files) {
			got = append(got, short(&d.file))
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v go, want %v", tc.name, got, tc.want)
		}
	}
}

// Nothing ever goes when that was asked for.
func TestRetention_ForEver(t *testing.T) {
	t.Parallel()
	files := slices.Concat([]index.File{aged(9, 1, 1, time.Hour)}, each(2, 5, time.Hour), []index.File{aged(1, 2, 5, time.Hour)})
	if got := (retention{Options{Retention: -1}.withDefaults(), start}).removable(files); len(got) > 0 {
		t.Errorf("%d files go", len(got))
	}
}
