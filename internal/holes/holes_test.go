package holes

import "testing"

func TestPolicy_Longest(t *testing.T) {
	t.Parallel()
	tight, wide := Policy{Share: 32, Free: 16, Range: 512 << 10}, Policy{Share: 16, Free: 64, Range: 512 << 10}
	for _, test := range []struct {
		name        string
		wanted      int64
		holes       map[int64]int64 // number by length
		tight, wide int64
	}{
		{"none", 1 << 20, nil, 0, 0},
		{"no holes", 1 << 20, map[int64]int64{0: 5, -3: 5}, 0, 0},
		{"a few small ones", 100 << 20, map[int64]int64{2048: 100}, 4095, 4095},
		{"small and large", 100 << 20, map[int64]int64{2048: 100, 1 << 19: 50}, 4095, 4095},
		{"many that cost a request each", 100 << 20, map[int64]int64{2048: 5000}, 4095, 4095},
		{"what a sixteenth allows", 100 << 20, map[int64]int64{2048: 500, 4096: 500, 8192: 100}, 8191, 16383},
		{"no more than that", 100 << 20, map[int64]int64{2048: 1500, 4096: 700, 8192: 200}, 8191, 8191},
		{"the longest", 100 << 20, map[int64]int64{Max: 10}, Max, Max},
		{"longer", 100 << 20, map[int64]int64{Max + 1: 10}, 0, 0},
		{"never too long a one", 10 << 20, map[int64]int64{1 << 19: 5000}, 0, 0},
		{"a small database", 100 << 10, map[int64]int64{2048: 10}, 0, 0},
	} {
		var h Holes
		for size, n := range test.holes {
			h.add(size, n)
		}
		if got := tight.Longest(&h, test.wanted, 1); got != test.tight {
			t.Errorf("%s: %d, want %d", test.name, got, test.tight)
		}
		if got := wide.Longest(&h, test.wanted, 1); got != test.wide {
			t.Errorf("%s: %d with wide limits, want %d", test.name, got, test.wide)
		}
	}
}
