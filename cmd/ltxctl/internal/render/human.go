package render

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/dustin/go-humanize/english"
)

// Bytes is a size: "4.4 KiB".
func Bytes(n int64) string {
	return strings.Replace(humanize.IBytes(uint64(max(n, 0))), ".0 ", " ", 1)
}

// Count is a number with its noun: "1 file", "12,345 files".
func Count[N int | int64 | uint32 | uint64](n N, noun string) string {
	return humanize.Comma(int64(n)) + " " + english.PluralWord(int(n), noun, "")
}

// Time is an instant, to the second, as --time takes it.
func Time(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

// Millis is an instant to the millisecond, as LTX files know it, and as --time takes it.
func Millis(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05.000Z")
}

// RFC3339 is an instant for programs.
func RFC3339(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z07:00")
}

// Age says how long ago t was.
func (s Screen) Age(t time.Time) string {
	switch d := s.Now.Sub(t); {
	case t.IsZero():
		return "-"
	case d < -2*time.Second:
		return Duration(-d) + " in the future"
	case d < time.Second:
		return "now"
	default:
		return Duration(d) + " ago"
	}
}

// Duration is a length of time with one unit: "3 minutes", "12 ms".
func Duration(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second && d%time.Second >= 100*time.Millisecond:
		return fmt.Sprintf("%.1f seconds", d.Seconds())
	}
	for _, u := range []struct {
		unit time.Duration
		most time.Duration
		noun string
	}{
		{time.Second, 2 * time.Minute, "second"},
		{time.Minute, 2 * time.Hour, "minute"},
		{time.Hour, 48 * time.Hour, "hour"},
		{24 * time.Hour, math.MaxInt64, "day"},
	} {
		if d < u.most {
			return Count(int64(d/u.unit), u.noun)
		}
	}
	return d.String()
}

// Share is a position among several: "3/12".
func Share(n, of int) string { return fmt.Sprintf("%d/%d", n, of) }
