package pages

import "testing"

// Each buffer is large enough, at most a quarter too large, and found again when it was given back.
func TestBuffers(t *testing.T) {
	t.Parallel()
	sizes := []int64{1, 100}
	for n := int64(1) << smallest; n < 64<<20; n += n/7 + 1 {
		sizes = append(sizes, n-1, n, n+1)
	}
	for power := smallest; power < 34; power++ {
		for quarters := int64(4); quarters < 8; quarters++ {
			n := quarters << (power - 2)
			sizes = append(sizes, n, n+1)
		}
	}
	for _, n := range sizes {
		c := class(n)
		size := sizeOf(c)
		if size < n || n > 1<<smallest && size > n+n/4+1 {
			t.Fatalf("a buffer for %d bytes has %d", n, size)
		}
		if class(size) != c {
			t.Fatalf("a buffer of %d bytes is of class %d when it comes back, and was of %d", size, class(size), c)
		}
	}
	if b := buffers.get(5 << 20); len(b) != 5<<20 || cap(b) != 5<<20 {
		t.Errorf("a buffer of 5 MiB has %d of %d bytes", len(b), cap(b))
	}
}
