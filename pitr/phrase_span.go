package pitr

import (
	"math"
	"strings"
	"time"
)

// units are the lengths of units of time. A day here is 24 hours, whatever the clocks do; "yesterday" is the calendar's.
// Months and years have no fixed length: they are known, and refused.
var units = map[string]time.Duration{
	"ms": time.Millisecond, "millisecond": time.Millisecond, "milliseconds": time.Millisecond,
	"s": time.Second, "sec": time.Second, "secs": time.Second, "second": time.Second, "seconds": time.Second,
	"m": time.Minute, "min": time.Minute, "mins": time.Minute, "minute": time.Minute, "minutes": time.Minute,
	"h": time.Hour, "hr": time.Hour, "hrs": time.Hour, "hour": time.Hour, "hours": time.Hour,
	"d": day24, "day": day24, "days": day24,
	"w": 7 * day24, "week": 7 * day24, "weeks": 7 * day24,
	"month": 0, "months": 0, "year": 0, "years": 0,
}

const day24 = 24 * time.Hour

var numberWords = map[string]int64{
	"a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7,
	"eight": 8, "nine": 9, "ten": 10, "eleven": 11, "twelve": 12,
}

type span struct {
	length    time.Duration
	wholeDays bool // written in days and weeks alone, so "3 days ago 14:00" makes sense
}

// startsAmount reports whether a number with a unit comes next: "5 minutes", "1.5h", "an hour".
func (p *parser) startsAmount() bool {
	n := 1
	if p.looksLike("d.d") {
		n = 3
	}
	_, isWord := numberWords[p.peek().text]
	_, isUnit := units[p.peekAt(n).text]
	return isUnit && (isWord || p.peek().kind == 'd')
}

// ago reads "5 minutes ago", "3 days ago 14:00" and "1h30m", which means ago too: there is no going forward.
func (p *parser) ago() (time.Time, error) {
	s, err := p.span()
	if err != nil {
		return time.Time{}, err
	}
	if p.takeWord("ago") && p.peek().kind != 0 && s.wholeDays {
		return p.moment(moment{day: &day{back: int(s.length / day24)}})
	}
	return p.now.Add(-s.length), nil
}

func (p *parser) span() (span, error) {
	s := span{wholeDays: true}
	for {
		a, err := p.amount()
		if err != nil {
			return span{}, err
		}
		if a.length > math.MaxInt64-s.length {
			return span{}, p.fail("goes back too far")
		}
		s.length += a.length
		s.wholeDays = s.wholeDays && a.wholeDays
		if p.takeWord("and") || p.startsAmount() {
			continue
		}
		return s, nil
	}
}

// amount reads one number and its unit.
func (p *parser) amount() (span, error) {
	d, err := p.count()
	if err != nil {
		return span{}, err
	}
	unit, known := units[p.peek().text]
	switch {
	case !known && p.peek().kind == 'w':
		return span{}, p.unexpected()
	case !known:
		return span{}, p.fail("the number " + d.text + " has no unit")
	case unit == 0:
		return span{}, p.calendarUnitError(d)
	case d.whole >= int64(math.MaxInt64/unit):
		return span{}, p.fail("goes back too far")
	}
	p.pos++
	fraction := time.Duration(math.Round(float64(d.nanos) / 1e9 * float64(unit)))
	return span{
		length:    time.Duration(d.whole)*unit + fraction,
		wholeDays: unit >= day24 && !d.hasFraction(),
	}, nil
}

// count reads a number in digits or as a word.
func (p *parser) count() (decimal, error) {
	if n, ok := numberWords[p.peek().text]; ok {
		return decimal{text: p.next().text, whole: n}, nil
	}
	return p.decimal()
}

func (p *parser) calendarUnitError(d decimal) error {
	unit := strings.TrimSuffix(p.peek().text, "s")
	reason := "a " + unit + " has no fixed length"
	if d.hasFraction() || d.whole > 1000 {
		return p.fail(reason)
	}
	at := p.now.AddDate(0, -int(d.whole), 0)
	if unit == "year" {
		at = p.now.AddDate(-int(d.whole), 0, 0)
	}
	return p.fail(reason, p.accepted(at.Format("2 Jan 2006"))...)
}
