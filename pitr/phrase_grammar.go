package pitr

import (
	"fmt"
	"slices"
	"time"
)

// The grammar:
//
//	target  = "latest" | instant
//	instant = "now" | "@" decimal | decimal | "-" span | span [ "ago" [ moment ] ] | moment
//	span    = { ( decimal | "a" | "five" … ) unit }
//	moment  = a day, a clock time or both, in either order, and a zone
//	day     = YYYY-MM-DD | "today" | "yesterday" | [ "last" ] weekday | 21 Nov [ 2026 ] | Nov 21 [ 2026 ]
//	clock   = HH:MM [ :SS [ .fff ] ] [ "am" | "pm" ] | H ( "am" | "pm" ) | "noon" | "midnight"
//	zone    = "Z" | "UTC" | "GMT" | "local" | ±HH:MM | ±HHMM | ±HH

type parser struct {
	phrase   string
	now      time.Time
	toks     []token
	pos      int
	ifFuture []string // what to suggest when the instant turns out to be in the future
	isTrial  bool     // this parses a suggestion of another parser, so that it makes none of its own
}

func (p *parser) peekAt(n int) token {
	if p.pos+n < len(p.toks) {
		return p.toks[p.pos+n]
	}
	return token{off: len(p.phrase)}
}

func (p *parser) peek() token { return p.peekAt(0) }

func (p *parser) next() token {
	t := p.peek()
	p.pos++
	return t
}

func (p *parser) take(kind byte) bool {
	if p.peek().kind != kind {
		return false
	}
	p.pos++
	return true
}

func (p *parser) takeWord(words ...string) bool {
	if !slices.Contains(words, p.peek().text) {
		return false
	}
	p.pos++
	return true
}

// looksLike reports whether the next tokens are of these kinds, with nothing between them.
func (p *parser) looksLike(kinds string) bool {
	for i := range len(kinds) {
		if t := p.peekAt(i); t.kind != kinds[i] || i > 0 && t.spaced {
			return false
		}
	}
	return true
}

func (p *parser) parse() (Target, error) {
	if len(p.phrase) > maxPhrase {
		return Target{}, p.fail(fmt.Sprintf("has %d bytes; the most is %d", len(p.phrase), maxPhrase))
	}
	if err := p.tokenize(); err != nil {
		return Target{}, err
	}
	return p.target()
}

func (p *parser) target() (Target, error) {
	if p.peek().text == "latest" && len(p.toks) == 1 {
		return Target{}, nil
	}
	at, err := p.instant()
	switch {
	case err != nil:
		return Target{}, err
	case p.peek().kind != 0:
		return Target{}, p.unexpected()
	case at.After(p.now):
		return Target{}, p.future(at)
	case at.Unix() < 0: // also keeps the zero time, which means latest, out of reach
		return Target{}, p.fail(fmt.Sprintf("is %s, and no replica is older than 1970", stamp(at.UTC())))
	}
	return Target{At: at.UTC()}, nil
}

func (p *parser) instant() (time.Time, error) {
	switch {
	case p.takeWord("now"):
		return p.now, nil
	case p.take('@'):
		return p.unixSeconds()
	case p.take('-'):
		s, err := p.span()
		return p.now.Add(-s.length), err
	case p.peek().kind == '+':
		return time.Time{}, p.fail(inFuture)
	case p.startsAmount():
		return p.ago()
	case p.isNumber():
		return p.bareNumber()
	}
	return p.moment(moment{})
}
