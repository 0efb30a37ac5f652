package verify

import (
	"time"

	"github.com/litefs-s3/litefs-s3/index"
)

// Outcome is what a check came to.
type Outcome string

const (
	// Good: all that was looked at is right.
	Good Outcome = "good"
	// Bad: something is wrong; a restore would fail, or give something else than was written.
	Bad Outcome = "bad"
	// Unknown: it could not be told, because the store did not let us look, or time was up before anything was seen.
	Unknown Outcome = "could not tell"
)

// Report is what a Run found.
type Report struct {
	Outcome Outcome    `json:"outcome"`
	Head    index.TXID `json:"head"`    // the newest moment that the files lead to
	Moments int        `json:"moments"` // that can be opened
	Files   int        `json:"files"`   // listed
	Checked int        `json:"checked"` // of them, from the first byte to the last
	Partly  int        `json:"partly"`  // of them, up to the end of the budget
	Bytes   int64      `json:"bytes"`   // of the files listed
	Read    int64      `json:"read"`    // bytes
	Pages   int64      `json:"pages"`   // decoded
	Sample  bool       `json:"sample"`  // there was a budget
	// Problems are what is wrong, and what could not be told.
	Problems []Problem `json:"problems"`
	// Notes are worth knowing and nothing wrong, like moments that cannot be opened any more.
	Notes []string      `json:"notes"`
	Took  time.Duration `json:"took_nsec"`
}

// Problem is one thing that is wrong, or could not be told.
type Problem struct {
	Outcome Outcome `json:"outcome"` // Bad or Unknown
	Key     string  `json:"key"`     // of the file; empty when it is about several
	Text    string  `json:"text"`
	Err     error   `json:"-"`
}

func (p Problem) Error() string { return p.Text }

func (p Problem) Unwrap() error { return p.Err }

// judge sets the outcome. One bad thing makes it bad, whatever else could not be told.
func (r *Report) judge() {
	r.Outcome = Good
	for _, p := range r.Problems {
		if p.Outcome == Bad {
			r.Outcome = Bad
			return
		}
		r.Outcome = Unknown
	}
	if r.Sample && r.Checked+r.Partly == 0 && r.Files > 0 {
		r.Outcome = Unknown
	}
}
