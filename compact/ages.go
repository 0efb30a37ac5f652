package compact

import (
	"time"

	"github.com/litefs-s3/litefs-s3/index"
)

// LevelAge says how well a level keeps up, by the times when the store got the files. A level above 0 that nothing waits for is in order,
// however old it is: nobody writes.
type LevelAge struct {
	Level   int
	Newest  time.Time // of its files
	Waiting time.Time // the oldest file of the level below that is not merged into this one; zero when there is none
}

// ages are those of all levels that have files or should get some, and of the snapshots.
func ages(files []index.File, merged int) []LevelAge {
	var all []LevelAge
	for level := range index.SnapshotLevel + 1 {
		age := LevelAge{Level: level}
		var top index.TXID
		for i := range files {
			if f := &files[i]; f.Level == level {
				top = max(top, f.Max)
				age.Newest = latest(age.Newest, f.Modified)
			}
		}
		if level >= 1 && level <= merged {
			age.Waiting = oldest(beyond(files, level-1, top))
		}
		if !age.Newest.IsZero() || !age.Waiting.IsZero() {
			all = append(all, age)
		}
	}
	return all
}

// oldest is when the oldest of files that wait was stored. One alone may wait for company.
func oldest(waiting []index.File) (at time.Time) {
	if len(waiting) < 2 {
		return at
	}
	for _, f := range waiting {
		at = earliest(at, f.Modified)
	}
	return at
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// earliest is the earlier of two times, of which a may be zero.
func earliest(a, b time.Time) time.Time {
	if !a.IsZero() && a.Before(b) {
		return a
	}
	return b
}
