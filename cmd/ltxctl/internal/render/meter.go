package render

import (
	"fmt"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
)

// Amount is what a Meter counts.
type Amount int

// What there is to count.
const (
	OfBytes Amount = iota
	OfPages
)

// Meter shows how far something long has come: a bar with rate and time left on a terminal, and elsewhere a line now and then,
// none when it is over soon. It is used by one goroutine at a time. The nil Meter shows nothing.
type Meter struct {
	screen Screen
	w      io.Writer
	now    func() time.Time

	what  string
	bar   *progressbar.ProgressBar // on a terminal
	begun time.Time                // of what
	told  time.Time                // when the last line was written
}

const (
	// meterEvery is the time between two lines where there is no terminal.
	meterEvery = 10 * time.Second
	// barThrottle is the time between two looks of a bar.
	barThrottle = 100 * time.Millisecond
	// barDelay is how long something takes before a bar is worth looking at: what flashes up tells nobody anything.
	barDelay = 400 * time.Millisecond
)

// Meter returns one that writes to w, which the screen describes, by the clock now.
func (s Screen) Meter(w io.Writer, now func() time.Time) *Meter {
	return &Meter{screen: s, w: w, now: now}
}

// Tell says how far it is: done of total, which is 0 while it is not known. Another what begins anew.
func (m *Meter) Tell(what string, done, total int64, of Amount) {
	if m == nil {
		return
	}
	if m.what != what {
		m.begin(what, total, of)
	}
	if m.screen.Terminal {
		m.draw(done, total)
		return
	}
	m.line(done, total, of)
}

// lateWriter writes what a bar draws, once the bar is worth it.
type lateWriter struct{ m *Meter }

func (l lateWriter) Write(p []byte) (int, error) {
	if l.m.now().Sub(l.m.begun) < barDelay {
		return len(p), nil
	}
	return l.m.w.Write(p)
}

// begin turns to something else.
func (m *Meter) begin(what string, total int64, of Amount) {
	m.Stop()
	m.what, m.begun = what, m.now()
	m.told = m.begun
	if m.screen.Terminal {
		m.bar = m.newBar(total, of)
	}
}

func (m *Meter) newBar(total int64, of Amount) *progressbar.ProgressBar {
	if total <= 0 {
		total = -1 // a spinner
	}
	opts := []progressbar.Option{
		progressbar.OptionSetWriter(lateWriter{m}), progressbar.OptionSetDescription(m.what), progressbar.OptionThrottle(barThrottle),
		progressbar.OptionClearOnFinish(), progressbar.OptionSetPredictTime(true), progressbar.OptionSetElapsedTime(false),
		progressbar.OptionSetSpinnerChangeInterval(0), // no goroutine
		progressbar.OptionSetWidth(max(8, min(30, m.screen.Width/4))),
		progressbar.OptionSetTheme(progressbar.Theme{Saucer: "█", SaucerPadding: "░", BarStart: "", BarEnd: ""}),
	}
	if of == OfBytes {
		opts = append(opts, progressbar.OptionShowBytes(true), progressbar.OptionUseIECUnits(true), progressbar.OptionShowTotalBytes(true))
	} else {
		opts = append(opts, progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("pages"))
	}
	return progressbar.NewOptions64(total, opts...)
}

// draw moves the bar. What cannot be drawn is not worth an error.
func (m *Meter) draw(done, total int64) {
	if total > 0 {
		if m.bar.GetMax64() != total {
			m.bar.ChangeMax64(total)
		}
		done = min(done, total-1) // a bar that is full ends, and the work has not
	}
	_ = m.bar.Set64(max(done, 0))
}

// line writes how far it is when it is time to.
func (m *Meter) line(done, total int64, of Amount) {
	now := m.now()
	if now.Sub(m.told) < meterEvery {
		return
	}
	m.told = now
	fmt.Fprintf(m.w, "%s: %s\n", m.what, progressText(done, total, now.Sub(m.begun), of))
}

// progressText is for instance "12 MiB of 100 MiB (12 %), 3 MiB/s, 29 seconds left".
func progressText(done, total int64, spent time.Duration, of Amount) string {
	text := of.text(done)
	if total > 0 {
		text += fmt.Sprintf(" of %s (%d %%)", of.text(total), min(100, 100*done/total))
	}
	rate := float64(done) / max(spent.Seconds(), 1e-3)
	if rate < 1 {
		return text
	}
	text += fmt.Sprintf(", %s/s", of.text(int64(rate)))
	if total > done {
		text += fmt.Sprintf(", %s left", Duration(time.Duration(float64(total-done)/rate*float64(time.Second)).Round(time.Second)))
	}
	return text
}

func (of Amount) text(n int64) string {
	if of == OfBytes {
		return Bytes(n)
	}
	return Count(n, "page")
}

// Stop takes the bar off the screen, so that something else can be written.
func (m *Meter) Stop() {
	if m == nil || m.bar == nil {
		return
	}
	_ = m.bar.Clear()
	_ = m.bar.Exit()
	m.bar, m.what = nil, ""
}
