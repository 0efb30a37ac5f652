package pitr

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// decimal is a number as written, cut to nine digits after the point.
type decimal struct {
	text  string
	whole int64
	nanos int64
}

func (d decimal) hasFraction() bool { return strings.Contains(d.text, ".") }

func (p *parser) decimal() (decimal, error) {
	fraction := p.looksLike("d.d")
	if p.peek().kind != 'd' {
		return decimal{}, p.unexpected()
	}
	d := decimal{text: p.next().text}
	whole, err := strconv.ParseInt(d.text, 10, 64)
	if err != nil {
		return decimal{}, p.fail("the number " + d.text + " is too large")
	}
	d.whole = whole
	if fraction {
		p.pos++
		digits := p.next().text
		d.text += "." + digits
		d.nanos = int64(nanoseconds(digits))
	}
	return d, nil
}

// nanoseconds reads the digits after a decimal point.
func nanoseconds(digits string) int {
	n, _ := strconv.Atoi((digits + "000000000")[:9]) // nine digits always convert
	return n
}

func (p *parser) unixSeconds() (time.Time, error) {
	d, err := p.decimal()
	switch {
	case err != nil:
		return time.Time{}, err
	case d.whole >= 1e12 && d.whole < 1e13:
		return time.Time{}, p.fail("has milliseconds after the @, which stands for seconds", p.accepted(d.text)...)
	case d.whole >= 1e12:
		return time.Time{}, p.fail("is too far in the future")
	}
	return time.Unix(d.whole, d.nanos).UTC(), nil
}

// isNumber reports whether a number is all there is.
func (p *parser) isNumber() bool {
	return p.looksLike("d") && len(p.toks) == 1 || p.looksLike("d.d") && len(p.toks) == 3
}

// bareNumber reads a number that says nothing about itself. Ten digits can only be Unix seconds and thirteen only
// milliseconds of our time; every other number has too many readings.
func (p *parser) bareNumber() (time.Time, error) {
	d, err := p.decimal()
	switch {
	case err != nil:
		return time.Time{}, err
	case d.whole >= 1e9 && d.whole < 1e10:
		return time.Unix(d.whole, d.nanos).UTC(), nil
	case d.whole >= 1e12 && d.whole < 1e13 && !d.hasFraction():
		return time.UnixMilli(d.whole).UTC(), nil
	}
	return time.Time{}, p.numberError(d)
}

func (p *parser) numberError(d decimal) error {
	if day, err := time.Parse("20060102", d.text); err == nil {
		return p.fail("could be a date or Unix seconds", p.accepted(day.Format(time.DateOnly), "@"+d.text)...)
	}
	const unixEpoch, inTheYear2132 = 2440588, 2500000 // julian days
	if d.whole >= unixEpoch && d.whole < inTheYear2132 {
		days := float64(d.whole-unixEpoch) + 0.5 + float64(d.nanos)/1e9
		at := time.Unix(int64(math.Round(days*86400)), 0).UTC()
		return p.fail("could be a julian day or Unix seconds", p.accepted(at.Format(time.DateTime), "@"+d.text)...)
	}
	if d.whole < 10_000 {
		return p.fail("is a number without a unit", p.accepted(d.text+" minutes ago", "@"+d.text)...)
	}
	return p.fail("is a number without a unit", p.accepted("@"+d.text)...)
}
