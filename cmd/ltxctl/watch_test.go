package main

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/faultstore"
)

// lookedFor runs status --watch for a while, after which Ctrl-C is pressed.
func lookedFor(t *testing.T, h *host, during time.Duration, args ...string) int {
	ctx, cancel := context.WithTimeout(t.Context(), during)
	defer cancel()
	h.ctx = ctx
	return h.run(t, append([]string{"status", replicaURL, "--watch"}, args...)...)
}

// On a terminal the screen is drawn in place, and in the end all is as before, cursor included.
func TestWatch_Terminal(t *testing.T) {
	t.Parallel()
	store := levels(t)
	synctest.Test(t, func(t *testing.T) {
		h := &host{store: store, width: 80}
		if code := lookedFor(t, h, 11*time.Second); code != 0 {
			t.Errorf("exit code %d: %s", code, h.err.String())
		}
		out := h.out.String()
		if n := strings.Count(out, home); n != 3 {
			t.Errorf("%d screens in 11 seconds, want 3", n)
		}
		if !strings.HasPrefix(out, enterScreen) || !strings.HasSuffix(out, leaveScreen) || strings.Count(out, leaveScreen) != 1 {
			t.Errorf("the terminal is not as before: %q", out)
		}
		if !strings.Contains(out, "txid") {
			t.Errorf("got %q", out)
		}
		for _, screen := range strings.Split(out, home)[1:] {
			if n := strings.Count(screen, "\n"); n >= 24 {
				t.Errorf("a screen of %d lines scrolls on a terminal of 24", n)
			}
		}
	})
}

// Into a pipe each look is one line, or one object.
func TestWatch_Piped(t *testing.T) {
	t.Parallel()
	store := levels(t)
	synctest.Test(t, func(t *testing.T) {
		h := &host{store: store}
		if code := lookedFor(t, h, 5*time.Second, "--interval=2s"); code != 0 {
			t.Errorf("exit code %d: %s", code, h.err.String())
		}
		lines := strings.Split(strings.TrimSuffix(h.out.String(), "\n"), "\n")
		if len(lines) != 3 || !strings.Contains(lines[2], " txid 0000000000000018 ") || strings.Contains(h.out.String(), "\x1b") {
			t.Errorf("got %q", lines)
		}
		lookedFor(t, h, 3*time.Second, "--interval=2s", "--json")
		dec, n := json.NewDecoder(&h.out), 0
		for dec.More() {
			var r statusReport
			if err := dec.Decode(&r); err != nil || r.Replica == "" {
				t.Fatalf("object %d: %+v, %v", n, r, err)
			}
			n++
		}
		if n != 2 {
			t.Errorf("%d objects, want 2", n)
		}
	})
}

// A store that is away for a while does not end it.
func TestWatch_StoreAway(t *testing.T) {
	t.Parallel()
	files := levels(t)
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		h := &host{store: faultstore.Wrap(files, faultstore.Before(func(string, string) error {
			if at := time.Since(began); at > time.Second && at < 8*time.Second {
				return objstore.ErrAccess
			}
			return nil
		}))}
		if code := lookedFor(t, h, 14*time.Second); code != 0 {
			t.Errorf("exit code %d", code)
		}
		if n := strings.Count(h.out.String(), "\n"); n != 2 || !strings.Contains(h.err.String(), "access denied") {
			t.Errorf("%d lines, want 2: %q; %q", n, h.out.String(), h.err.String())
		}
	})
}

func TestWatch_Usage(t *testing.T) {
	t.Parallel()
	h := &host{store: levels(t)}
	h.expect(t, exitUsage, "", "too short", "status", replicaURL, "--watch", "--interval=10ms")
	h.expect(t, exitUsage, "", "is for --watch", "status", replicaURL, "--interval=10s")
}
