package render

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestMeter_Lines(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var out bytes.Buffer
	m := Screen{}.Meter(&out, func() time.Time { return now })
	m.Tell("restore", 0, 100<<20, OfBytes)
	now = now.Add(9 * time.Second)
	m.Tell("restore", 20<<20, 100<<20, OfBytes)
	if out.Len() > 0 {
		t.Errorf("what is over soon needs no line: %s", out.String())
	}
	now = now.Add(time.Second)
	m.Tell("restore", 30<<20, 100<<20, OfBytes)
	now = now.Add(5 * time.Second)
	m.Tell("check", 7, 0, OfPages)
	now = now.Add(10 * time.Second)
	m.Tell("check", 70, 0, OfPages)
	m.Stop()
	want := "restore: 30 MiB of 100 MiB (30 %), 3 MiB/s, 23 seconds left\ncheck: 70 pages, 7 pages/s\n"
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

func TestMeter_Bar(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	now := time.Now()
	m := Screen{Terminal: true, Width: 80}.Meter(&out, func() time.Time { // a second passes with each look
		now = now.Add(time.Second)
		return now
	})
	m.Tell("restore", 0, 100<<20, OfBytes)
	time.Sleep(2 * barThrottle)
	m.Tell("restore", 50<<20, 100<<20, OfBytes)
	time.Sleep(2 * barThrottle)
	m.Tell("check", 3, 0, OfPages)
	m.Stop()
	got := out.String()
	for _, want := range []string{"restore", "50%", "█░", "iB/s", "check"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in %q", want, got)
		}
	}
	if strings.Contains(got, "\n") {
		t.Errorf("a bar stays in its line: %q", got)
	}
	if last := got[strings.LastIndexByte(strings.TrimRight(got, "\r"), '\r')+1:]; strings.TrimSpace(strings.ReplaceAll(last, "\x1b[2K", "")) != "" {
		t.Errorf("the bar is left on the screen: %q", last)
	}
}

// What is over at once shows no bar, and leaves nothing to clear.
func TestMeter_SoonOver(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	now := time.Now()
	m := Screen{Terminal: true, Width: 80}.Meter(&out, func() time.Time { return now })
	m.Tell("restore", 0, 100<<20, OfBytes)
	now = now.Add(barDelay / 2)
	m.Tell("restore", 99<<20, 100<<20, OfBytes)
	m.Tell("check", 3, 0, OfPages)
	m.Stop()
	if out.Len() > 0 {
		t.Errorf("got %q", out.String())
	}
}

func TestMeter_Nil(t *testing.T) {
	t.Parallel()
	var m *Meter
	m.Tell("nothing", 1, 2, OfBytes)
	m.Stop()
}
