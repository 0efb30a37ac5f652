package pitr

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Target is the time a reader asks for: the newest state, or the state as of an instant.
// The zero Target is the newest state.
type Target struct {
	At time.Time // UTC; zero means latest
}

// IsLatest reports whether t follows the writer instead of standing at an instant.
func (t Target) IsLatest() bool { return t.At.IsZero() }

// String returns "latest" or the instant in RFC 3339, in UTC. [Parse] reads it back as the same Target.
func (t Target) String() string {
	if t.IsLatest() {
		return "latest"
	}
	return t.At.UTC().Format(time.RFC3339Nano)
}

// PhraseError says why a phrase is not a time one can go back to, and what to write instead.
type PhraseError struct {
	Phrase string   // as given
	Reason string   // what is wrong with it
	Try    []string // phrases that Parse accepts; more than one when the choice is the writer's
}

func (e *PhraseError) Error() string {
	try := make([]string, len(e.Try))
	for i, s := range e.Try {
		if try[i] = s; strings.Contains(s, " ") {
			try[i] = strconv.Quote(s)
		}
	}
	phrase := e.Phrase
	if len(phrase) > maxPhrase {
		phrase = phrase[:maxPhrase/4] + "…"
	}
	return fmt.Sprintf("time %q: %s; write %s", phrase, e.Reason, strings.Join(try, " or "))
}

// maxPhrase is the longest phrase read, in bytes. The longest sensible one has about 40.
const maxPhrase = 128

// Parse reads what a person writes as a time. The package documentation lists what it accepts.
//
// now is the moment of asking. Its location is the zone of phrases that name none, except that a date in digits
// without a zone is UTC, as it is in SQLite. A phrase that is unknown, has two readings, or lies after now or
// before 1970 is a [*PhraseError]. Parse never guesses.
func Parse(phrase string, now time.Time) (Target, error) {
	p := &parser{phrase: phrase, now: now.Round(0)} // Round(0) drops the monotonic clock: these are dates
	return p.parse()
}

func (p *parser) fail(reason string, try ...string) error {
	if len(try) == 0 {
		try = []string{"5 minutes ago", "yesterday 14:00", p.now.UTC().Add(-day24).Format("2006-01-02T15:04:05Z")}
	}
	return &PhraseError{Phrase: p.phrase, Reason: reason, Try: try}
}

// accepted keeps the suggestions that Parse takes; the others are still to come, as a rule.
func (p *parser) accepted(try ...string) []string {
	if p.isTrial {
		return nil
	}
	return slices.DeleteFunc(try, func(s string) bool {
		trial := &parser{phrase: s, now: p.now, isTrial: true}
		_, err := trial.parse()
		return err != nil
	})
}

func (p *parser) future(at time.Time) error {
	return p.fail(fmt.Sprintf("is %s, in the future: now is %s", stamp(at), stamp(p.now.In(at.Location()))), p.ifFuture...)
}

// insteadOfFuture is what the writer of m, which is still to come, may have meant.
func (p *parser) insteadOfFuture(m moment, date time.Time) []string {
	when := ""
	if m.clock != nil {
		when = " " + clockText(m.clock.on(date))
	}
	switch d := m.day; {
	case m.zone != nil:
		return nil
	case d.digits:
		return p.accepted(p.phrase + " local")
	case d.month != 0 && d.year == 0:
		return p.accepted(date.AddDate(-1, 0, 0).Format("2 Jan 2006") + when)
	case *d == (day{}):
		return p.accepted("yesterday" + when)
	}
	return nil
}

func (p *parser) skippedError(wall time.Time, loc *time.Location) error {
	return p.fail(fmt.Sprintf("%s on %s never came in %s: the clocks were set forward over it",
		clockText(wall), wall.Format("2 January 2006"), zoneName(loc)), p.accepted(stamp(afterGap(wall, loc)))...)
}

// unexpected explains the next token, which has no place where it stands.
func (p *parser) unexpected() error {
	t := p.peek()
	if after := p.peekAt(1); t.kind == 'd' && after.kind == 'w' && !isKnown(after.text) {
		p.pos++ // "5 minuts": the word is what is wrong
		t = after
	}
	_, isUnit := units[t.text]
	switch {
	case len(p.toks) == 0:
		return p.fail("is empty")
	case t.kind == 0:
		return p.fail("ends too early")
	case refusedWords[t.text] != "":
		return p.fail(refusedWords[t.text])
	case isUnit:
		return p.fail(fmt.Sprintf("%q needs a number before it", t.text), p.accepted("1 "+t.text+" ago")...)
	case t.kind == 'w' && !isKnown(t.text):
		return p.unknownWord(t)
	case t.kind == 'd' && !p.startsClock() && !p.startsDay():
		return p.fail(fmt.Sprintf("the number %s has no unit, and hours are written 14:00 or 2 pm", t.text))
	}
	text, _, _ := strings.Cut(p.phrase[t.off:], " ")
	return p.fail(fmt.Sprintf("%q does not fit there", text))
}

// unknownWord names the known word nearest to t and suggests the phrase with all its words corrected in that way.
func (p *parser) unknownWord(t token) error {
	reason := "the word " + strconv.Quote(t.text) + " is unknown"
	near, ok := nearest(t.text)
	if !ok {
		return p.fail(reason)
	}
	return p.fail(reason+"; the nearest is "+strconv.Quote(near), p.accepted(p.corrected())...)
}

func (p *parser) corrected() string {
	var b strings.Builder
	end := 0
	for _, t := range p.toks {
		b.WriteString(p.phrase[end:t.off])
		end = t.off + t.size
		if near, ok := nearest(t.text); ok && t.kind == 'w' && !isKnown(t.text) {
			b.WriteString(near)
		} else {
			b.WriteString(p.phrase[t.off:end])
		}
	}
	return b.String() + p.phrase[end:]
}

// stamp writes t to the second as Parse takes it, with t's own offset.
func stamp(t time.Time) string { return t.Format(time.RFC3339) }

func zoneName(loc *time.Location) string {
	if loc == time.Local {
		return "the local time zone"
	}
	return loc.String()
}
