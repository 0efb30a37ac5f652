package main

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// span is a flag's length of time: Go's syntax, whole seconds, or days like 7d.
type span struct {
	d     *time.Duration
	never string // the word for "no end", kept as a negative duration; empty when there is none
}

// Set implements pflag.Value.
func (s span) Set(text string) error {
	if s.never != "" && text == s.never {
		*s.d = -1
		return nil
	}
	d, err := parseSpan(text)
	if err != nil {
		return err
	}
	if d <= 0 {
		return errors.New("it must be longer than nothing")
	}
	*s.d = d
	return nil
}

// Type implements pflag.Value.
func (s span) Type() string { return "duration" }

// String implements pflag.Value.
func (s span) String() string {
	switch {
	case s.d == nil || *s.d == 0:
		return ""
	case *s.d < 0:
		return s.never
	}
	return s.d.String()
}

func parseSpan(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(n) * time.Second, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, errors.New("it is no length of time; write 30s, 5m, 24h or 7d")
	}
	return d, nil
}

// spans is a flag's list of them.
type spans struct{ list *[]time.Duration }

// Set implements pflag.Value.
func (s spans) Set(text string) error {
	*s.list = nil
	for part := range strings.SplitSeq(text, ",") {
		var d time.Duration
		if err := (span{d: &d}).Set(strings.TrimSpace(part)); err != nil {
			return err
		}
		*s.list = append(*s.list, d)
	}
	return nil
}

// Type implements pflag.Value.
func (s spans) Type() string { return "durations" }

// String implements pflag.Value.
func (s spans) String() string {
	if s.list == nil {
		return ""
	}
	texts := make([]string, len(*s.list))
	for i, d := range *s.list {
		texts[i] = d.String()
	}
	return strings.Join(texts, ",")
}
