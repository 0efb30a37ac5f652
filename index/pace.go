package index

import "time"

const (
	// restAfter is how long nothing must have happened before polls become rarer.
	restAfter = 5 * time.Minute
	// restFactor is how much rarer they become at most.
	restFactor = 8
)

// pace decides how long to wait before the next poll: the interval, and longer ones when neither the writer nor a
// reader has done anything for minutes.
type pace struct {
	interval time.Duration
	awake    time.Time
	rest     time.Duration
}

func newPace(interval time.Duration) *pace {
	return &pace{interval: interval, awake: time.Now(), rest: interval}
}

// wake says that something has happened.
func (p *pace) wake() {
	p.awake, p.rest = time.Now(), p.interval
}

// fail says that a poll failed: the next ones come at longer and longer intervals.
func (p *pace) fail() { p.rest = min(p.rest*2, restFactor*p.interval) }

// set changes the interval.
func (p *pace) set(interval time.Duration) {
	if p.interval != interval {
		p.interval, p.rest = interval, interval
	}
}

// next is the time until the next poll.
func (p *pace) next() time.Duration {
	if time.Since(p.awake) > restAfter {
		p.rest = min(p.rest*2, restFactor*p.interval)
	}
	return p.rest
}
