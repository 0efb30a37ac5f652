package compact

import (
	"testing"
	"time"

	"github.com/litefs-s3/litefs-s3/index"
)

// A level waits for the oldest of the files that it does not hold yet, and for none when nobody writes.
func TestAges(t *testing.T) {
	t.Parallel()
	at := func(minute int) time.Time { return time.Unix(int64(minute)*60, 0) }
	file := func(level int, min, max index.TXID, minute int) index.File {
		return index.File{Level: level, Min: min, Max: max, Modified: at(minute)}
	}
	got := ages([]index.File{
		file(0, 4, 4, 14), file(0, 5, 5, 12), file(0, 6, 6, 13), // 4 is merged already
		file(1, 1, 2, 1), file(1, 3, 4, 8), file(2, 1, 2, 3), file(9, 1, 2, 2),
	}, 2)
	want := []LevelAge{
		{0, at(14), time.Time{}},
		{1, at(8), at(12)},
		{2, at(3), time.Time{}}, // one file alone may wait for company
		{9, at(2), time.Time{}},
	}
	if len(got) != len(want) {
		t.Fatalf("got %+v", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("got %+v, want %+v", got[i], want[i])
		}
	}
}
