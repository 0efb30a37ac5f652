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
	if b := new(bufferPool).get(5 << 20); len(b) != 5<<20 || cap(b) != 5<<20 {
		t.Errorf("a buffer of 5 MiB has %d of %d bytes", len(b), cap(b))
	}
}

// What is given back is used again by requests of about its size, and is not kept without a bound.
func TestBuffers_Idle(t *testing.T) {
	t.Parallel()
	var b bufferPool
	first := b.get(1 << 20)
	b.put(first)
	for _, n := range []int64{10 << 10, 1<<20 + 1, 4 << 20} {
		if p := b.get(n); &p[0] == &first[0] {
			t.Errorf("a request of %d bytes has a buffer of %d", n, cap(p))
		}
	}
	if p := b.get(700 << 10); &p[0] != &first[0] || len(p) != 700<<10 {
		t.Errorf("a request of 700 KiB does not use the buffer of 1 MiB that is there")
	}
	for range 1000 {
		b.put(make([]byte, 4<<10))
	}
	if len(b.idle) != maxIdleCount {
		t.Errorf("%d small buffers are kept", len(b.idle))
	}
	var used [][]byte
	for range 20 {
		used = append(used, b.get(2<<20))
	}
	for _, p := range used {
		b.put(p)
	}
	var size int64
	for _, p := range b.idle {
		size += int64(cap(p))
	}
	if size > maxIdle || size != b.size || size < maxIdle/2 {
		t.Errorf("%d bytes are kept, counted as %d", size, b.size)
	}
}
