package inspect

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
)

// What Health can be.
const (
	OK      = "ok"
	Warning = "warning"
	Damaged = "damaged"
)

// Note is something to know about a replica, with what to do about it.
type Note struct {
	Severity string `json:"severity"` // OK for a mere remark
	Text     string `json:"text"`
	Err      error  `json:"-"` // what kind of damage it is
}

// judge looks for what is wrong.
func (s *Summary) judge(ctx context.Context, store objstore.Lister, tl *index.Timeline, now time.Time) error {
	s.Missing = missing(s.Files)
	if err := tl.Gap(); err != nil {
		s.Notes = append(s.Notes, Note{Damaged, err.Error(), err})
	}
	s.noteLag(now)
	s.noteStart()
	if ahead := s.Head.Time.Sub(now); ahead > time.Minute {
		s.note(Warning, "the newest transaction is dated %s ahead of this machine's clock; set the clocks, or times will not be found",
			ahead.Round(time.Second))
	}
	legacy, err := store.List(ctx, "generations/", "")
	switch {
	case err != nil && !errors.Is(err, objstore.ErrUnsupported):
		return err
	case len(legacy.Objects) > 0:
		s.note(OK, "a Litestream v0.3 replica lies beside this one (generations/); it is not read, and may be removed when it is no longer needed")
	}
	s.Health = OK
	for _, n := range s.Notes {
		if n.Severity == Damaged || n.Severity == Warning && s.Health == OK {
			s.Health = n.Severity
		}
	}
	return nil
}

func (s *Summary) note(severity, format string, args ...any) {
	s.Notes = append(s.Notes, Note{Severity: severity, Text: fmt.Sprintf(format, args...)})
}

// late is after how long a file should have been merged into the level above: well beyond Litestream's intervals of 30 s,
// 5 min and 1 h.
var late = []time.Duration{10 * time.Minute, 30 * time.Minute, 4 * time.Hour}

// noteLag finds levels that are not merged upwards any more. Levels above 1 may be switched off.
func (s *Summary) noteLag(now time.Time) {
	for level, patience := range late {
		above, waiting := s.unmerged(level)
		if len(waiting) < 2 || level > 0 && above == 0 {
			continue
		}
		if age := now.Sub(waiting[0].Modified); age > patience {
			s.note(Warning, "level %d lags: the oldest of %d files of level %d has waited %s to be merged; is the writer running?",
				level+1, len(waiting), level, age.Round(time.Second))
		}
	}
}

// unmerged returns the files of a level that the level above does not cover, and how far that one goes.
func (s *Summary) unmerged(level int) (above index.TXID, waiting []*File) {
	for _, f := range s.Files {
		if f.Level == level+1 {
			above = max(above, f.Max)
		}
	}
	for _, f := range s.Files {
		if f.Level == level && f.Max > above {
			waiting = append(waiting, f)
		}
	}
	return above, waiting
}

// manyFiles is a plan that takes long to open.
const manyFiles = 200

// noteStart remarks on what the plan begins with, and on its length.
func (s *Summary) noteStart() {
	if len(s.Levels) > 0 && s.Levels[0].Level != index.SnapshotLevel {
		s.note(OK, "there is no snapshot yet; opening starts from %s", s.Opening.Files[0])
	}
	if n := len(s.Opening.Files); n > manyFiles {
		s.note(Warning, "the newest state lies in %d files, which makes opening slow; compaction or a snapshot by the writer helps", n)
	}
}
