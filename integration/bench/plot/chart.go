package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"math"
	"slices"
)

// chart is groups of horizontal bars.
type chart struct {
	file, title, subtitle string
	groups                []group
}

type group struct {
	label string
	bars  []bar
}

type bar struct {
	label, color string
	value        float64 // at least 0
}

// Measures of a chart, in pixels.
const (
	width     = 860
	left      = 210 // of the labels
	right     = 90  // of the figures
	barHeight = 16
	barStep   = 19
	groupGap  = 14
	headroom  = 92
	footroom  = 34
)

// svg draws the chart.
func (c chart) svg() []byte {
	var b bytes.Buffer
	height := headroom + footroom
	for _, g := range c.groups {
		height += len(g.bars)*barStep + groupGap
	}
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n",
		width, height, width, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", width, height)
	text(&b, 16, 26, "start", `font-size="16" font-weight="bold"`, c.title)
	text(&b, 16, 46, "start", `fill="#555555"`, c.subtitle)
	c.legend(&b)
	scale := c.scale()
	c.grid(&b, scale, height)
	y := headroom
	for _, g := range c.groups {
		text(&b, left-10, y+len(g.bars)*barStep/2+4, "end", "", g.label)
		for _, v := range g.bars {
			x := scale.x(v.value)
			fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%d" height="%d" fill="%s"><title>%s</title></rect>`+"\n",
				left, y, max(1, x-left), barHeight, v.color, escaped(v.label))
			text(&b, max(left+1, x)+6, y+barHeight-4, "start", `font-size="11"`, number(v.value))
			y += barStep
		}
		y += groupGap
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// legend names the colours that are used.
func (c chart) legend(b *bytes.Buffer) {
	var seen []string
	x := 16
	for _, g := range c.groups {
		for _, v := range g.bars {
			if slices.Contains(seen, v.label) {
				continue
			}
			seen = append(seen, v.label)
			fmt.Fprintf(b, `<rect x="%d" y="60" width="12" height="12" fill="%s"/>`+"\n", x, v.color)
			text(b, x+18, 70, "start", "", v.label)
			x += 34 + 7*len(v.label)
		}
	}
}

// scale is a logarithmic axis between two powers of ten.
type scale struct{ low, high float64 } // exponents

func (c chart) scale() scale {
	s := scale{math.Inf(1), math.Inf(-1)}
	for _, g := range c.groups {
		for _, v := range g.bars {
			if v.value > 0 {
				s.low, s.high = min(s.low, math.Floor(math.Log10(v.value))), max(s.high, math.Ceil(math.Log10(v.value)))
			}
		}
	}
	if s.low >= s.high { // nothing, or one power of ten
		s.low, s.high = min(s.low, 0), max(s.high, 1)
	}
	return s
}

// x is where a bar of that value ends.
func (s scale) x(value float64) int {
	if value <= 0 {
		return left
	}
	return left + int(math.Round((math.Log10(value)-s.low)/(s.high-s.low)*(width-left-right)))
}

// grid draws a line at each power of ten.
func (c chart) grid(b *bytes.Buffer, s scale, height int) {
	for e := s.low; e <= s.high; e++ {
		x := s.x(math.Pow(10, e))
		fmt.Fprintf(b, `<line x1="%d" y1="%d" x2="%d" y2="%d" stroke="#dddddd"/>`+"\n", x, headroom-8, x, height-footroom)
		text(b, x, height-footroom+16, "middle", `fill="#555555" font-size="11"`, number(math.Pow(10, e)))
	}
}

func text(b *bytes.Buffer, x, y int, anchor, more, s string) {
	if more != "" {
		more = " " + more
	}
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="%s"%s>%s</text>`+"\n", x, y, anchor, more, escaped(s))
}

func escaped(s string) string {
	var b bytes.Buffer
	xml.EscapeText(&b, []byte(s)) // a buffer takes everything
	return b.String()
}

// number writes a value with two or three figures.
func number(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.3g", v)
	}
	return fmt.Sprintf("%.2g", v)
}
