package litefss3

import (
	"sync"
	"time"

	"github.com/litefs-s3/litefs-s3/compact"
)

// CompactionStatus is the part of Status that speaks of the background compaction of this process.
type CompactionStatus struct {
	Runs     int64         `json:"runs"` // since the database was opened
	Failures int64         `json:"failures"`
	Error    string        `json:"error,omitempty"` // of the last run
	Last     time.Time     `json:"last"`            // end of the last run
	LastGood time.Time     `json:"last_good"`       // end of the last run that did not fail; zero when there was none
	Made     int64         `json:"made"`            // files
	Deleted  int64         `json:"deleted"`         // files
	Deferred string        `json:"deferred,omitempty"`
	Levels   []LevelStatus `json:"levels,omitempty"` // before the last run
}

// LevelStatus is how old a level is, by the store's clock.
type LevelStatus struct {
	Level   int        `json:"level"`
	Newest  *time.Time `json:"newest,omitempty"`        // of its files
	Waiting *time.Time `json:"waiting_since,omitempty"` // the oldest file of the level below that is to be merged into this one
}

// compactions are the runs of the background compaction. The zero value has seen none.
type compactions struct {
	mu     sync.Mutex
	status CompactionStatus // guarded by mu; Levels is replaced, never changed
}

func (c *compactions) note(r compact.Run) {
	levels := levelStatus(r.Ages)
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &c.status
	s.Runs++
	s.Last, s.Error = now, ""
	if r.Err != nil {
		s.Failures++
		s.Error = r.Err.Error()
	} else {
		s.LastGood = now
	}
	if r.Ages != nil {
		s.Levels = levels
	}
	if r.Report != nil {
		s.Made += int64(len(r.Report.Made))
		s.Deleted += int64(len(r.Report.Deleted))
		s.Deferred = r.Report.Deferred
	}
}

// get returns the status, nil when there has been no run.
func (c *compactions) get() *CompactionStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.status.Runs == 0 {
		return nil
	}
	s := c.status
	return &s
}

func levelStatus(ages []compact.LevelAge) []LevelStatus {
	var levels []LevelStatus
	for _, a := range ages {
		levels = append(levels, LevelStatus{Level: a.Level, Newest: unlessZero(a.Newest), Waiting: unlessZero(a.Waiting)})
	}
	return levels
}

func unlessZero(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
