package pages

import "testing"

// TestCourse_ParentHasGrown: a scan of an older View meets an interior page that has more leaves by now, or others.
func TestCourse_ParentHasGrown(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		at   int
		pgno uint32
		want bool
	}{
		{"the same leaf", 7, 17, true},
		{"another leaf there", 7, 99, false},
		{"the first that is new", 10, 20, false},
		{"far beyond", 15, 25, false},
	} {
		c := course{run: orderly, here: walk{levels: []level{{pgno: 2, at: 2}}}}
		for i := range uint32(10) {
			c.here.levels[0].children = append(c.here.levels[0].children, 10+i)
		}
		if got := c.skipTo(test.pgno, []branch{{2, test.at}}); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
		if leaf := c.here.leaf(); test.want && leaf != test.pgno-1 {
			t.Errorf("%s: the scan is at %d", test.name, leaf)
		}
	}
}
