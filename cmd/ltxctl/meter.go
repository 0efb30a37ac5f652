package main

import (
	"strings"

	"github.com/litefs-s3/litefs-s3/bulk"
	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/render"
	"github.com/litefs-s3/litefs-s3/compact"
)

// meter shows on standard error how far something is. Programs, which read JSON, are shown nothing.
func (c *cli) meter() *render.Meter {
	if c.json {
		return nil
	}
	return c.screen(c.stderr).Meter(c.stderr, c.now)
}

// copying tells a meter of pages that are fetched.
func copying(m *render.Meter, what string) func(bulk.Progress) {
	return func(p bulk.Progress) { m.Tell(what, p.Bytes, p.TotalBytes, render.OfBytes) }
}

// compacting tells a meter of a compactor's steps.
func compacting(m *render.Meter) func(compact.Progress) {
	return func(p compact.Progress) {
		level, _, _ := strings.Cut(p.What, "/") // the whole name leaves no room for a bar
		what := p.Phase + " " + level
		if p.Steps > 1 {
			what = render.Share(p.Step, p.Steps) + " " + what
		}
		m.Tell(what, p.Done, p.Total, render.OfPages)
	}
}
