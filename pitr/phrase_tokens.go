package pitr

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A token is a run of digits ('d'), a word ('w'), or one punctuation mark, which is its own kind.
// The token after the last one has kind 0.
type token struct {
	kind   byte
	text   string // lower case; words without dots, so that "p.m." is "pm"
	off    int    // bytes from the start of the phrase
	size   int    // bytes in the phrase
	spaced bool   // something separates it from the token before
}

func isDigit(r rune) bool { return '0' <= r && r <= '9' }

func isWordPart(r rune) bool { return unicode.IsLetter(r) || r == '.' }

func (p *parser) tokenize() error {
	spaced := false
	for off := 0; off < len(p.phrase); {
		rest := p.phrase[off:]
		t := token{off: off, size: 1, spaced: spaced}
		switch r, size := utf8.DecodeRuneInString(rest); {
		case unicode.IsSpace(r), r == ',':
			off, spaced = off+size, true
			continue
		case isDigit(r):
			t.kind, t.size = 'd', runLength(rest, isDigit)
			t.text = rest[:t.size]
		case unicode.IsLetter(r):
			t.kind, t.size = 'w', runLength(rest, isWordPart)
			t.text = strings.ToLower(strings.ReplaceAll(rest[:t.size], ".", ""))
		case strings.ContainsRune("@+-:/.", r):
			t.kind, t.text = rest[0], rest[:1]
		default:
			return p.fail(fmt.Sprintf("the character %q has no place in a time", r))
		}
		p.toks = append(p.toks, t)
		off, spaced = off+t.size, false
	}
	return nil
}

// runLength is the number of bytes at the start of s whose runes satisfy in.
func runLength(s string, in func(rune) bool) int {
	if i := strings.IndexFunc(s, func(r rune) bool { return !in(r) }); i >= 0 {
		return i
	}
	return len(s)
}
