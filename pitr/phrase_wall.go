package pitr

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A civil date is a time.Time at 00:00 UTC, and a wall time one in UTC that shows what a clock in some zone shows.
func civil(t time.Time) time.Time {
	year, month, dom := t.Date()
	return time.Date(year, month, dom, 0, 0, 0, 0, time.UTC)
}

// resolve finds the instant of m.
func (p *parser) resolve(m moment) (time.Time, error) {
	loc := p.now.Location()
	if m.zone != nil {
		loc = m.zone
	} else if m.day != nil && m.day.digits {
		loc = time.UTC
	}
	if m.day == nil {
		m.day = &day{}
	}
	date, err := p.dateOf(m.day, civil(p.now.In(loc)))
	if err != nil {
		return time.Time{}, err
	}
	if m.clock != nil && m.clock.midnight {
		return p.midnight(date, loc)
	}
	at, err := p.onDate(date, m.clock, loc)
	if err != nil || !at.After(p.now) {
		return at, err
	}
	if m.day.weekday != nil { // it is that day of the week, but too early
		return p.onDate(date.AddDate(0, 0, -7), m.clock, loc)
	}
	p.ifFuture = p.insteadOfFuture(m, date)
	return at, nil
}

// midnight is the start of date while its end is still to come; later the word could mean either.
func (p *parser) midnight(date time.Time, loc *time.Location) (time.Time, error) {
	start, err := p.startOfDay(date, loc)
	if err != nil {
		return time.Time{}, err
	}
	end, err := p.startOfDay(date.AddDate(0, 0, 1), loc)
	if err != nil || end.After(p.now) {
		return start, nil
	}
	return time.Time{}, p.fail("midnight could be the start of that day or its end", stamp(start), stamp(end))
}

// dateOf finds the date of d, seen from today.
func (p *parser) dateOf(d *day, today time.Time) (time.Time, error) {
	switch {
	case d.month != 0:
		year := d.year
		if year == 0 {
			year = today.Year()
		}
		if !validDate(year, d.month, d.dom) {
			return time.Time{}, p.fail(fmt.Sprintf("there is no %d %s in %d", d.dom, d.month, year))
		}
		return time.Date(year, d.month, d.dom, 0, 0, 0, 0, time.UTC), nil
	case d.weekday != nil:
		back := int(today.Weekday()-*d.weekday+7) % 7
		if d.last && back == 0 {
			back = 7
		}
		return today.AddDate(0, 0, -back), nil
	}
	return today.AddDate(0, 0, -d.back), nil
}

// onDate finds the instant at which clocks in loc show c on date; a nil c is the start of that day.
func (p *parser) onDate(date time.Time, c *clock, loc *time.Location) (time.Time, error) {
	if c == nil {
		return p.startOfDay(date, loc)
	}
	wall := c.on(date)
	at := instantsAt(wall, loc)
	if len(at) == 2 && at[1].After(p.now) { // the second one is still to come, so the first is meant
		at = at[:1]
	}
	switch len(at) {
	case 0:
		return time.Time{}, p.skippedError(wall, loc)
	case 1:
		return at[0], nil
	}
	return time.Time{}, p.fail(fmt.Sprintf("%s came twice on %s in %s, first at %s and then at %s",
		clockText(wall), wall.Format("2 January 2006"), zoneName(loc),
		at[0].Format("-07:00"), at[1].Format("-07:00")), p.accepted(stamp(at[0]), stamp(at[1]))...)
}

// on is the wall time c on a civil date.
func (c *clock) on(date time.Time) time.Time {
	return date.Add(time.Duration(c.hour)*time.Hour + time.Duration(c.min)*time.Minute +
		time.Duration(c.sec)*time.Second + time.Duration(c.nsec))
}

// clockText is the wall time without its date, and without seconds that are zero.
func clockText(wall time.Time) string { return strings.TrimSuffix(wall.Format(time.TimeOnly), ":00") }

// startOfDay is the first instant of date in loc, which is not 00:00 where the clocks are set forward at midnight.
func (p *parser) startOfDay(date time.Time, loc *time.Location) (time.Time, error) {
	if at := instantsAt(date, loc); len(at) > 0 {
		return at[0], nil
	}
	start, _ := afterGap(date, loc).ZoneBounds()
	if !civil(start).Equal(date) { // some places on the date line once skipped a whole day
		return time.Time{}, p.skippedError(date, loc)
	}
	return start, nil
}

// instantsAt returns the instants at which clocks in loc show wall: one, or two when they were set back over it,
// or none when they were set forward over it. The earliest comes first.
func instantsAt(wall time.Time, loc *time.Location) []time.Time {
	guess := wall.Add(-offsetAt(wall.In(loc))).In(loc)
	offsets := []time.Duration{offsetAt(guess)}
	start, end := guess.ZoneBounds()
	if !start.IsZero() {
		offsets = append(offsets, offsetAt(start.Add(-1)))
	}
	if !end.IsZero() {
		offsets = append(offsets, offsetAt(end))
	}
	var at []time.Time
	for _, offset := range offsets {
		t := wall.Add(-offset).In(loc)
		if offsetAt(t) == offset && !slices.ContainsFunc(at, t.Equal) {
			at = append(at, t)
		}
	}
	slices.SortFunc(at, time.Time.Compare)
	return at
}

// afterGap reads a wall time that was skipped in loc by the offset from before the gap, which leads behind it.
func afterGap(wall time.Time, loc *time.Location) time.Time {
	return wall.Add(-offsetAt(wall.In(loc).Add(-2 * day24))).In(loc)
}

func offsetAt(t time.Time) time.Duration {
	_, seconds := t.Zone()
	return time.Duration(seconds) * time.Second
}
