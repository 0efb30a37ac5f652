package sqlrun

import "strings"

// Complete reports whether sql ends with a whole statement, or holds none at all: a semicolon that is not inside a string, a name, a
// comment, or the body of a trigger. It works as sqlite3_complete does, which the driver does not offer.
func Complete(sql string) bool {
	state := start
	any := false
	for s := newScanner(sql); ; {
		tok, ok := s.next()
		if !ok {
			return !s.open && (state == start || !any)
		}
		any = any || tok != tokenSpace
		state = transitions[state][tok]
	}
}

type token int

const (
	tokenSemicolon token = iota
	tokenSpace           // white space and comments
	tokenOther
	tokenExplain
	tokenCreate
	tokenTemp
	tokenTrigger
	tokenEnd
)

// States, as in SQLite's complete.c.
const (
	start       = iota // between statements
	normal             // in one that ends at the next semicolon
	explain            // after EXPLAIN
	create             // after CREATE, perhaps TEMP
	trigger            // in the definition of a trigger, which ends with ;END;
	triggerSemi        // after a semicolon in one
	triggerEnd         // after ;END in one
)

// transitions has a row for each state and a column for each token.
var transitions = [...][8]int{
	//            ;            space        other    EXPLAIN  CREATE   TEMP     TRIGGER  END
	start:       {start, start, normal, explain, create, normal, normal, normal},
	normal:      {start, normal, normal, normal, normal, normal, normal, normal},
	explain:     {start, explain, explain, normal, create, normal, normal, normal},
	create:      {start, create, normal, normal, normal, create, trigger, normal},
	trigger:     {triggerSemi, trigger, trigger, trigger, trigger, trigger, trigger, trigger},
	triggerSemi: {triggerSemi, triggerSemi, trigger, trigger, trigger, trigger, trigger, triggerEnd},
	triggerEnd:  {start, triggerEnd, trigger, trigger, trigger, trigger, trigger, trigger},
}

// scanner cuts SQL into tokens.
type scanner struct {
	rest string
	open bool // the text ended inside a string, a quoted name or a comment
}

func newScanner(sql string) *scanner { return &scanner{rest: sql} }

func (s *scanner) next() (token, bool) {
	if s.rest == "" {
		return 0, false
	}
	switch c := s.rest[0]; {
	case c == ';':
		s.rest = s.rest[1:]
		return tokenSemicolon, true
	case strings.IndexByte(" \t\r\n\f", c) >= 0:
		s.rest = strings.TrimLeft(s.rest, " \t\r\n\f")
		return tokenSpace, true
	case strings.HasPrefix(s.rest, "--"):
		_, s.rest, _ = strings.Cut(s.rest, "\n")
		return tokenSpace, true
	case strings.HasPrefix(s.rest, "/*"):
		s.skip(2, "*/")
		return tokenSpace, true
	case c == '[':
		s.skip(1, "]")
		return tokenOther, true
	case c == '\'' || c == '"' || c == '`':
		s.skip(1, s.rest[:1])
		return tokenOther, true
	case isWord(c):
		return s.word(), true
	}
	s.rest = s.rest[1:]
	return tokenOther, true
}

// skip goes on after the next end, which is looked for from byte from on. A doubled quote is two strings side by side, which
// comes to the same.
func (s *scanner) skip(from int, end string) {
	_, rest, found := strings.Cut(s.rest[from:], end)
	s.rest, s.open = rest, !found
}

func (s *scanner) word() token {
	n := 1
	for n < len(s.rest) && isWord(s.rest[n]) {
		n++
	}
	word := s.rest[:n]
	s.rest = s.rest[n:]
	switch strings.ToLower(word) {
	case "explain":
		return tokenExplain
	case "create":
		return tokenCreate
	case "temp", "temporary":
		return tokenTemp
	case "trigger":
		return tokenTrigger
	case "end":
		return tokenEnd
	}
	return tokenOther
}

func isWord(c byte) bool {
	return c == '_' || c == '$' || c >= 0x80 || '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
}
