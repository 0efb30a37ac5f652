package pitr

import (
	"testing"
	"time"
)

// FuzzParse checks what holds for every phrase: no panic, only instants from 1970 to now, a text that reads back,
// and errors whose suggestions are accepted.
func FuzzParse(f *testing.F) {
	nows := []time.Time{ // the last two are days on which the clocks change
		mustNow(f, "2026-11-21T12:00:00Z", "UTC"),
		mustNow(f, "2026-11-21T12:00:00Z", "Europe/Berlin"),
		mustNow(f, "2026-11-01T20:00:00Z", "America/New_York"),
		mustNow(f, "2026-10-25T00:45:00Z", "Europe/Berlin"),
	}
	_, cases := readPhrases(f)
	for i, c := range cases {
		f.Add(c.phrase, uint8(i))
	}
	f.Fuzz(func(t *testing.T, phrase string, which uint8) {
		now := nows[int(which)%len(nows)]
		target, err := Parse(phrase, now)
		if err != nil {
			checkSuggestions(t, err, now)
			return
		}
		if !target.IsLatest() && (target.At.After(now) || target.At.Unix() < 0) {
			t.Errorf("%q is %v, outside 1970 to now", phrase, target)
		}
		again, err := Parse(target.String(), now)
		if err != nil || again != target {
			t.Errorf("%q is %v, which reads back as %v, %v", phrase, target, again, err)
		}
	})
}
