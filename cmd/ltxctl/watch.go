package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/render"
)

// What a terminal is told to draw a screen in place.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l" // another screen, so that what was there comes back; no cursor
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	home        = "\x1b[H"
	clearLine   = "\x1b[K"
	clearRest   = "\x1b[J"
)

// lookAgain calls look now and every interval, until ctx ends: that is how it is meant to end, and no error. On a terminal what look writes is one
// screen, drawn in place; the terminal is as before in the end, whatever happens. Elsewhere it is written as it comes.
//
// A look that fails is shown, and the next one follows: a screen that goes away while the store is away is no use.
func (c *cli) lookAgain(ctx context.Context, interval time.Duration, look func(ctx context.Context, w io.Writer) error) error {
	_, terminal := c.screenHeight()
	draws := terminal && !c.json
	if draws {
		if _, err := io.WriteString(c.stdout, enterScreen); err != nil {
			return err
		}
		defer io.WriteString(c.stdout, leaveScreen) // nobody is there to hear that it fails
	}
	for {
		var b bytes.Buffer
		err := look(ctx, &b)
		if ctx.Err() != nil {
			return nil
		}
		switch {
		case err != nil && draws:
			fmt.Fprintf(&b, "\n%s: %s\n", c.now().UTC().Format(time.RFC3339), render.Printable(err.Error()))
		case err != nil:
			fmt.Fprintf(c.stderr, "%s %s\n", c.now().UTC().Format(time.RFC3339), render.Printable(err.Error()))
		}
		if draws {
			height, _ := c.screenHeight() // it may have been made larger
			fmt.Fprintf(&b, "\nevery %s; Ctrl-C ends\n", interval)
			err = drawScreen(c.stdout, b.String(), height)
		} else {
			_, err = c.stdout.Write(b.Bytes())
		}
		if err != nil {
			return err
		}
		if err := c.pause(ctx, interval); err != nil {
			return nil
		}
	}
}

// drawScreen writes text over what the terminal shows. What does not fit is cut, lest it scrolls.
func drawScreen(w io.Writer, text string, height int) error {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) > height-1 {
		lines = append(lines[:max(height-2, 0)], "…")
	}
	_, err := io.WriteString(w, home+strings.Join(lines, clearLine+"\n")+clearLine+"\n"+clearRest)
	return err
}

// screenHeight is the number of lines of the terminal. It is false when standard output is none, or one that cannot be drawn on.
func (c *cli) screenHeight() (lines int, ok bool) {
	if _, ok := c.terminal(c.stdout); !ok || c.getenv("TERM") == "dumb" {
		return 0, false
	}
	return c.lines(c.stdout), true
}

// pause waits. Its error says that ctx has ended.
func (c *cli) pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// watchStatus is status --watch.
func (c *cli) watchStatus(ctx context.Context, url string, interval time.Duration) error {
	_, draws := c.screenHeight()
	return c.lookAgain(ctx, interval, func(ctx context.Context, w io.Writer) error {
		r, err := c.readStatus(ctx, url)
		switch {
		case err != nil:
			return err
		case c.json:
			return c.writeJSONLine(r)
		case draws:
			return c.writeStatus(w, r)
		}
		_, err = fmt.Fprintln(w, c.statusLine(r))
		return err
	})
}

// statusLine is a status for a log.
func (c *cli) statusLine(r statusReport) string {
	return fmt.Sprintf("%s %s %s txid %s age %s writer %s files %d bytes %d", c.now().UTC().Format(time.RFC3339), r.Replica, r.Health, r.Head.TXID,
		render.Duration(time.Duration(r.Age*float64(time.Second))), r.Lease.State, r.Stored.Files, r.Stored.Bytes)
}

// minWatch is the shortest time between two looks: each one lists the replica.
const minWatch = time.Second

func checkWatch(interval time.Duration) error {
	if interval < minWatch {
		return usagef("--interval=%s is too short: each look lists the replica; give %s or more", interval, minWatch)
	}
	return nil
}
