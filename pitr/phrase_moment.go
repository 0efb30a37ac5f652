package pitr

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

var weekdays = map[string]time.Weekday{
	"sunday": time.Sunday, "sun": time.Sunday, "monday": time.Monday, "mon": time.Monday,
	"tuesday": time.Tuesday, "tue": time.Tuesday, "tues": time.Tuesday, "wednesday": time.Wednesday,
	"wed": time.Wednesday, "thursday": time.Thursday, "thu": time.Thursday, "thur": time.Thursday,
	"thurs": time.Thursday, "friday": time.Friday, "fri": time.Friday, "saturday": time.Saturday, "sat": time.Saturday,
}

var months = map[string]time.Month{
	"january": 1, "jan": 1, "february": 2, "feb": 2, "march": 3, "mar": 3, "april": 4, "apr": 4, "may": 5,
	"june": 6, "jun": 6, "july": 7, "jul": 7, "august": 8, "aug": 8, "september": 9, "sep": 9, "sept": 9,
	"october": 10, "oct": 10, "november": 11, "nov": 11, "december": 12, "dec": 12,
}

// day is a day as written. Which date that is depends on the zone, which may come last.
type day struct {
	back int // days before today, when neither of the next two is set

	weekday *time.Weekday // the most recent one
	last    bool          // "last monday": not today

	month  time.Month // 0: not a calendar date
	dom    int        // day of the month
	year   int        // 0: this year
	digits bool       // YYYY-MM-DD: UTC unless a zone says otherwise
}

type clock struct {
	hour, min, sec, nsec int
	midnight             bool // written as the word, which may mean either end of a day
}

// moment is a day, a clock time, or both. What is missing is today, and the start of the day.
type moment struct {
	day   *day
	clock *clock
	zone  *time.Location
}

func (p *parser) moment(m moment) (time.Time, error) {
	for p.peek().kind != 0 || m == (moment{}) {
		if err := p.momentPart(&m); err != nil {
			return time.Time{}, err
		}
	}
	return p.resolve(m)
}

// momentPart reads whichever part comes next and refuses to read it twice.
func (p *parser) momentPart(m *moment) error {
	at := p.takeWord("at")
	on := !at && p.takeWord("on")
	switch {
	case m.clock == nil && !on && p.startsClock():
		c, err := p.readClock()
		m.clock = c
		return err
	case m.day == nil && !at && p.startsDay():
		d, err := p.readDay()
		m.day = d
		p.skipDateTimeMark()
		return err
	case m.zone == nil && *m != (moment{}) && !at && !on && p.startsZone():
		z, err := p.readZone(m.clock != nil)
		m.zone = z
		return err
	}
	return p.unexpected()
}

// skipDateTimeMark takes the T of 2026-11-20T14:00.
func (p *parser) skipDateTimeMark() {
	if p.looksLike("wd:d") && p.peek().text == "t" && !p.peek().spaced {
		p.pos++
	}
}

func (p *parser) startsClock() bool {
	return p.looksLike("d:d") || p.peek().text == "noon" || p.peek().text == "midnight" ||
		p.peek().kind == 'd' && isHalfDay(p.peekAt(1))
}

func isHalfDay(t token) bool { return t.text == "am" || t.text == "pm" }

func (p *parser) readClock() (*clock, error) {
	if p.takeWord("noon") {
		return &clock{hour: 12}, nil
	}
	if p.takeWord("midnight") {
		return &clock{midnight: true}, nil
	}
	start := p.pos
	fields, ok := p.clockFields()
	c := &clock{hour: fields[0], min: fields[1], sec: fields[2], nsec: fields[3]}
	if isHalfDay(p.peek()) {
		ok = ok && c.hour >= 1 && c.hour <= 12
		if c.hour %= 12; p.next().text == "pm" {
			c.hour += 12
		}
	}
	if !ok || c.hour > 23 || c.min > 59 || c.sec > 59 {
		text := p.phrase[p.toks[start].off:p.endOf(p.pos-1)]
		return nil, p.fail(fmt.Sprintf("%s is no time of day; hours go from 00:00 to 23:59:59 or 1 am to 12 pm", text))
	}
	return c, nil
}

// clockFields reads H, H:MM, H:MM:SS or H:MM:SS.fff and reports whether each part has the digits it should.
func (p *parser) clockFields() (fields [4]int, ok bool) {
	ok = len(p.peek().text) <= 2
	fields[0], _ = strconv.Atoi(p.next().text)
	for i := 1; i <= 2 && p.looksLike(":d"); i++ {
		p.pos++
		ok = ok && len(p.peek().text) == 2
		fields[i], _ = strconv.Atoi(p.next().text)
		if i == 2 && p.looksLike(".d") {
			p.pos++
			fields[3] = nanoseconds(p.next().text)
		}
	}
	return fields, ok
}

// endOf is the offset just behind token i.
func (p *parser) endOf(i int) int { return p.toks[i].off + p.toks[i].size }

func (p *parser) startsDay() bool {
	switch p.peek().text {
	case "today", "yesterday", "last":
		return true
	}
	_, isWeekday := weekdays[p.peek().text]
	return isWeekday || p.startsDate()
}

func (p *parser) readDay() (*day, error) {
	if p.startsDate() {
		return p.readDate()
	}
	if p.takeWord("today") {
		return &day{}, nil
	}
	if p.takeWord("yesterday") {
		return &day{back: 1}, nil
	}
	last := p.takeWord("last")
	weekday, ok := weekdays[p.peek().text]
	if !ok {
		return nil, p.unexpected()
	}
	p.pos++
	return &day{weekday: &weekday, last: last}, nil
}

// startsDate reports whether a date comes next: in digits, "21 Nov", "21st Nov" or "Nov 21".
func (p *parser) startsDate() bool {
	if p.startsDigitDate() {
		return true
	}
	_, monthNow := months[p.peek().text]
	_, monthNext := months[p.peekAt(1).text]
	_, monthAfter := months[p.peekAt(2).text]
	return monthNow || p.peek().kind == 'd' && (monthNext || isOrdinal(p.peekAt(1)) && monthAfter)
}

func (p *parser) startsDigitDate() bool {
	return p.looksLike("d-d-d") || p.looksLike("d/d") || p.looksLike("d.d.d")
}

func isOrdinal(t token) bool {
	return !t.spaced && slices.Contains([]string{"st", "nd", "rd", "th"}, t.text)
}

func (p *parser) readDate() (*day, error) {
	d := &day{}
	if p.looksLike("d-d-d") && len(p.peek().text) == 4 {
		d.digits = true
		if len(p.peekAt(2).text) != 2 || len(p.peekAt(4).text) != 2 {
			return nil, p.digitDateError()
		}
		d.year, _ = strconv.Atoi(p.next().text)
		p.pos++
		month, _ := strconv.Atoi(p.next().text)
		p.pos++
		d.month = time.Month(month)
		d.dom, _ = strconv.Atoi(p.next().text)
	} else if p.startsDigitDate() {
		return nil, p.digitDateError()
	} else if err := p.readNamedDate(d); err != nil {
		return nil, err
	}
	if d.year != 0 && !validDate(d.year, d.month, d.dom) {
		return nil, p.fail("there is no such day")
	}
	if d.digits && d.year == 0 { // year 0 stands for none
		return nil, p.fail("no replica is older than 1970")
	}
	return d, nil
}

func validDate(year int, month time.Month, dom int) bool {
	return time.Date(year, month, dom, 0, 0, 0, 0, time.UTC).Day() == dom && month >= 1 && month <= 12
}

// readNamedDate reads "21 Nov 2026", "Nov 21 2026" and both without the year.
func (p *parser) readNamedDate(d *day) error {
	month, monthFirst := months[p.peek().text]
	if monthFirst {
		p.pos++
	}
	if t := p.peek(); monthFirst && (t.kind != 'd' || len(t.text) > 2 || p.startsClock()) {
		return p.fail("the month needs a day", p.firstOf(month))
	}
	d.dom, _ = strconv.Atoi(p.next().text)
	if isOrdinal(p.peek()) {
		p.pos++
	}
	if !monthFirst {
		month = months[p.next().text]
	}
	d.month = month
	if p.peek().kind == 'd' && !p.startsClock() {
		if len(p.peek().text) != 4 {
			return p.fail("the year " + p.peek().text + " needs four digits")
		}
		d.year, _ = strconv.Atoi(p.next().text)
	}
	return nil
}

// firstOf is the latest first day of the given month.
func (p *parser) firstOf(month time.Month) string {
	first := time.Date(p.now.Year(), month, 1, 0, 0, 0, 0, time.UTC)
	if first.After(civil(p.now)) {
		first = first.AddDate(-1, 0, 0)
	}
	return first.Format("2 Jan 2006")
}

// digitDateError tells the readings of a date in digits that is not written YYYY-MM-DD.
func (p *parser) digitDateError() error {
	field := [3]int{2: p.now.Year()}
	start := p.pos
	field[0], _ = strconv.Atoi(p.next().text)
	for i := 1; i < 3 && strings.ContainsRune("-/.", rune(p.peek().kind)) && p.peekAt(1).kind == 'd'; i++ {
		p.pos++
		field[i], _ = strconv.Atoi(p.next().text)
	}
	before, after := p.phrase[:p.toks[start].off], p.phrase[p.endOf(p.pos-1):]
	var readings, try []string
	for _, order := range [][3]int{{2, 1, 0}, {2, 0, 1}, {0, 1, 2}} { // day first, month first, year first
		year, month, dom := field[order[0]], time.Month(field[order[1]]), field[order[2]]
		if year < 100 {
			year += 2000
		}
		date := time.Date(year, month, dom, 0, 0, 0, 0, time.UTC)
		if text := date.Format("2 January 2006"); year >= 1970 && year <= 9999 && validDate(year, month, dom) &&
			!slices.Contains(readings, text) {
			readings = append(readings, text)
			try = append(try, before+date.Format(time.DateOnly)+after)
		}
	}
	switch len(readings) {
	case 0:
		return p.fail("there is no such day")
	case 1:
		return p.fail("dates in digits are written year first, as YYYY-MM-DD", p.accepted(try...)...)
	}
	return p.fail("could be "+strings.Join(readings, " or "), p.accepted(try...)...)
}

// zoneAbbreviations have several meanings (IST has three) or change with the season, so they are refused by name.
var zoneAbbreviations = []string{
	"est", "edt", "cst", "cdt", "mst", "mdt", "pst", "pdt", "cet", "cest", "mez", "mesz", "eet", "eest", "wet",
	"west", "bst", "ist", "jst", "kst", "msk", "aest", "aedt", "hkt", "sgt", "nzst", "nzdt", "europe", "america",
	"asia", "africa", "australia", "pacific", "atlantic",
}

func (p *parser) startsZone() bool {
	t := p.peek()
	return p.looksLike("+d") || p.looksLike("-d") || slices.Contains(zoneAbbreviations, t.text) ||
		slices.Contains([]string{"z", "utc", "gmt", "local"}, t.text)
}

func (p *parser) readZone(afterClock bool) (*time.Location, error) {
	t := p.next()
	switch {
	case t.text == "local":
		return p.now.Location(), nil
	case t.text == "z" || t.text == "utc" || t.text == "gmt":
		return time.UTC, nil
	case t.kind == 'w':
		before := strings.TrimSpace(p.phrase[:t.off])
		return nil, p.fail("zones by name are not read: give the offset, UTC or local",
			p.accepted(before+" UTC", before+" local")...)
	case !afterClock:
		return nil, p.fail("an offset needs a clock time before it")
	}
	seconds, ok := p.offset()
	if !ok {
		return nil, p.fail("offsets from UTC are written +02:00, and 14:00 is the largest")
	}
	if t.kind == '-' {
		seconds = -seconds
	}
	return time.FixedZone("", seconds), nil
}

// offset reads HH:MM, HHMM or HH as seconds.
func (p *parser) offset() (seconds int, ok bool) {
	digits := p.next().text
	if len(digits) == 2 && p.looksLike(":d") {
		p.pos++
		digits += p.next().text
	} else if len(digits) == 2 {
		digits += "00"
	}
	n, _ := strconv.Atoi(digits)
	hours, minutes := n/100, n%100
	return hours*3600 + minutes*60, len(digits) == 4 && minutes <= 59 && hours*60+minutes <= 14*60
}
