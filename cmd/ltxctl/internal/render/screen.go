package render

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/jedib0t/go-pretty/v6/text"
)

// Screen is where output goes. The zero value is a file: no colour, no terminal.
type Screen struct {
	Terminal bool
	Width    int  // columns; 0 is no limit
	Color    bool // escape sequences are welcome
	Now      time.Time
}

// Narrower is the screen without some columns at its left.
func (s Screen) Narrower(columns int) Screen {
	if s.Width > 0 {
		s.Width = max(1, s.Width-columns)
	}
	return s
}

// Paint is how text looks.
type Paint int

// The few looks there are.
const (
	Plainly Paint = iota
	Dim
	Bold
	Good
	Warning
	Bad
	levelPaint // and one for each level after it
)

// OfLevel is the colour of a level of the replica.
func OfLevel(level int) Paint { return levelPaint + Paint(level%len(levelCodes)) }

// levelCodes go from green for what is new to blue for what is old.
var levelCodes = []string{"32", "36", "34", "35", "35", "35", "35", "35", "35", "94"}

var codes = map[Paint]string{Dim: "2", Bold: "1", Good: "32", Warning: "33", Bad: "31"}

// Paint returns text in a look, or as it is when the screen knows no colours.
func (s Screen) Paint(p Paint, text string) string {
	code := codes[p]
	if p >= levelPaint {
		code = levelCodes[p-levelPaint]
	}
	if !s.Color || code == "" || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// Printable makes text from a database fit for one line of a terminal: control characters, which could move the cursor or
// change colours, are written as escapes.
func Printable(text string) string {
	if isPrintable(text) {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		writeRune(&b, r, text[i:i+size])
		i += size
	}
	return b.String()
}

func writeRune(b *strings.Builder, r rune, raw string) {
	switch {
	case r == utf8.RuneError && len(raw) == 1:
		fmt.Fprintf(b, `\x%02x`, raw[0])
	case r == '\n':
		b.WriteString(`\n`)
	case r == '\t':
		b.WriteString(`\t`)
	case r == '\r':
		b.WriteString(`\r`)
	case !printable(r) && r < 0x100:
		fmt.Fprintf(b, `\x%02x`, r)
	case !printable(r):
		fmt.Fprintf(b, `\u%04x`, r)
	default:
		b.WriteString(raw)
	}
}

func isPrintable(text string) bool {
	for _, r := range text {
		if !printable(r) || r == utf8.RuneError {
			return false
		}
	}
	return true
}

// printable leaves out what has no width or another meaning: controls, and marks that turn the direction of text.
func printable(r rune) bool {
	return unicode.IsPrint(r) || unicode.In(r, unicode.Zs, unicode.Co) || r == '\u200d' || r == '\ufe0f'
}

// Wrap breaks text into lines that fit, all indented.
func (s Screen) Wrap(words, indent string) string {
	if s.Width > 0 {
		words = text.WrapSoft(words, max(20, s.Width-len(indent)))
	}
	lines := strings.Split(words, "\n")
	for i, line := range lines {
		lines[i] = indent + strings.TrimRight(line, " ")
	}
	return strings.Join(lines, "\n")
}
