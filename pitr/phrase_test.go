package pitr

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the table must not depend on the machine's zones
)

var updatePhrases = flag.Bool("update-phrases", false, "rewrite testdata/phrases.txt with what Parse returns")

const phrasesFile = "testdata/phrases.txt"

// phraseCase is one line of testdata/phrases.txt under the "now" line that holds for it.
type phraseCase struct {
	line   int
	phrase string
	now    time.Time
	want   string // the Target's text or the error's
}

// readPhrases reads the table. Every line that is no case is kept in the index of cases as it stands.
func readPhrases(tb testing.TB) (lines []string, cases []phraseCase) {
	tb.Helper()
	data, err := os.ReadFile(phrasesFile)
	if err != nil {
		tb.Fatal(err)
	}
	var now time.Time
	for sc := bufio.NewScanner(bytes.NewReader(data)); sc.Scan(); {
		line := sc.Text()
		lines = append(lines, line)
		var at, zone string
		switch phrase, want, isCase := strings.Cut(line, " => "); {
		case line == "" || strings.HasPrefix(line, "#"):
		case isCase:
			cases = append(cases, phraseCase{len(lines), strings.TrimRight(phrase, " "), now, want})
		default:
			if _, err := fmt.Sscanf(line, "now %s in %s", &at, &zone); err != nil {
				tb.Fatalf("%s:%d: %q is neither a case nor a now line", phrasesFile, len(lines), line)
			}
			now = mustNow(tb, at, zone)
		}
	}
	return lines, cases
}

func mustNow(tb testing.TB, at, zone string) time.Time {
	tb.Helper()
	loc, err := time.LoadLocation(zone)
	if err != nil {
		tb.Fatal(err)
	}
	now, err := time.Parse(time.RFC3339, at)
	if err != nil {
		tb.Fatal(err)
	}
	return now.In(loc)
}

func TestParse_Table(t *testing.T) {
	lines, cases := readPhrases(t)
	if len(cases) < 80 {
		t.Errorf("the table has %d cases, want 80 or more", len(cases))
	}
	for _, c := range cases {
		target, err := Parse(c.phrase, c.now)
		got := target.String()
		if err != nil {
			got = err.Error()
			checkSuggestions(t, err, c.now)
		}
		if *updatePhrases {
			lines[c.line-1] = fmt.Sprintf("%-34s => %s", c.phrase, got)
		} else if got != c.want {
			t.Errorf("%s:%d: %q\n got %s\nwant %s", phrasesFile, c.line, c.phrase, got, c.want)
		}
	}
	if *updatePhrases {
		if err := os.WriteFile(phrasesFile, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// checkSuggestions holds an error to its word: what it says to write is accepted.
func checkSuggestions(tb testing.TB, err error, now time.Time) {
	tb.Helper()
	e, ok := errors.AsType[*PhraseError](err)
	if !ok {
		tb.Fatalf("error %v is a %T, want a *PhraseError", err, err)
	}
	if len(e.Try) == 0 || e.Reason == "" {
		tb.Errorf("%v: no reason or no suggestion", e)
	}
	for _, try := range e.Try {
		if _, err := Parse(try, now); err != nil {
			tb.Errorf("%v\nbut the suggestion %q is refused: %v", e, try, err)
		}
	}
}

func TestParse_CaseSpaceAndCommasDoNotMatter(t *testing.T) {
	t.Parallel()
	now := mustNow(t, "2026-11-21T12:00:00Z", "Europe/Berlin")
	for _, phrase := range []string{"YESTERDAY 14:00", " yesterday\t14:00 ", "Yesterday, 14:00", "yesterday\u00a014:00"} {
		got, err := Parse(phrase, now)
		if want := "2026-11-20T13:00:00Z"; err != nil || got.String() != want {
			t.Errorf("%q: got %v, %v, want %s", phrase, got, err, want)
		}
	}
}

func TestParse_DropsTheMonotonicClock(t *testing.T) {
	t.Parallel()
	now := time.Now()
	got, err := Parse("now", now)
	if err != nil || got != (Target{At: now.Round(0).UTC()}) {
		t.Errorf("got %#v, %v, want the wall clock of %v in UTC", got, err, now)
	}
}

func TestParse_EveryWordOfTheGrammarIsKnown(t *testing.T) {
	t.Parallel()
	for _, word := range knownWords {
		if near, ok := nearest(word); len(word) > 2 && (!ok || near != word) {
			t.Errorf("the nearest word to %q is %q", word, near)
		}
	}
}

func TestParse_OverlongIsRefusedAndNotEchoed(t *testing.T) {
	t.Parallel()
	_, err := Parse(strings.Repeat("9", 1<<20), time.Now())
	if err == nil || len(err.Error()) > 300 {
		t.Fatalf("got %.400v, want a short error", err)
	}
}

func TestTarget_ZeroIsLatest(t *testing.T) {
	t.Parallel()
	if zero := (Target{}); !zero.IsLatest() || zero.String() != "latest" {
		t.Errorf("the zero Target is %v", zero)
	}
}

// TestInstantsAt compares the search with trying every offset, around every change of the clocks since 1970.
func TestInstantsAt(t *testing.T) {
	t.Parallel()
	zones := []string{
		"Europe/Berlin", "America/New_York", "Australia/Lord_Howe" /* half an hour */, "America/Havana", /* at midnight */
		"Pacific/Apia" /* skipped a day */, "Africa/Casablanca", "Asia/Kathmandu", "UTC",
	}
	for _, zone := range zones {
		loc, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		end := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
		for at := time.Unix(0, 0).In(loc); ; {
			_, change := at.ZoneBounds()
			if change.IsZero() || change.After(end) {
				break
			}
			around := time.Date(change.Year(), change.Month(), change.Day(), 0, 0, 0, 0, time.UTC)
			for wall := around.AddDate(0, 0, -1); wall.Before(around.AddDate(0, 0, 2)); wall = wall.Add(30 * time.Minute) {
				got, want := instantsAt(wall, loc), instantsByTrial(wall, loc)
				if !slices.EqualFunc(got, want, time.Time.Equal) {
					t.Fatalf("%s in %s: got %v, want %v", wall.Format(time.DateTime), zone, got, want)
				}
			}
			at = change
		}
	}
}

func instantsByTrial(wall time.Time, loc *time.Location) (at []time.Time) {
	for offset := 14 * time.Hour; offset >= -12*time.Hour; offset -= 15 * time.Minute {
		if t := wall.Add(-offset).In(loc); offsetAt(t) == offset {
			at = append(at, t)
		}
	}
	return at
}
