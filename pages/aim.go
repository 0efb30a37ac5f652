package pages

import (
	"context"

	"github.com/litefs-s3/litefs-s3/index"
)

// aim is what is known of a page that has to be fetched: its b-tree, and the way down to it.
type aim struct {
	tree   *tree
	way    []branch // from the uppermost page that is known; empty when nothing is
	course *course  // the scan that it continues, or nil
}

func (a *aim) known() bool { return a.tree != nil }

// aim finds out what is known of a page. What lies above it is here, as a rule: SQLite came that way.
func (r *Reader) aim(v *index.View, pgno uint32) aim {
	if r.limitAhead() <= 0 || r.source.aheadLimit.Load() <= 0 {
		return aim{} // guesses are turned off
	}
	way := append([]branch(nil), r.climb(v, pgno)...)
	if len(way) == 0 {
		return aim{}
	}
	return aim{r.source.trees.of(way[0].pgno), way, r.coursing(v, pgno, way)}
}

// around is what to fetch with a page that is not here: a little, when nothing says that more is needed; more in a scan whose leaves lie
// side by side.
func (r *Reader) around(p index.Page, a *aim) want {
	if !a.known() {
		return r.window(p)
	}
	limit := r.limitAhead()
	c := a.course
	if c == nil || c.run < orderly || !dense(c.here.parent().children) || p.Frame.File.Size <= smallFile {
		return r.window(p)
	}
	before, after := int64(0), min(minSpan, limit)
	if c.here.back {
		before, after = after, before
	}
	span := p.Around(before, after)
	return want{span, int(limit / int64(span.PageSize())), true}
}

// guess asks ahead for what a reader of page pgno, which is being fetched, reads next.
func (r *Reader) guess(ctx context.Context, v *index.View, pgno uint32, a *aim) {
	r.clock++
	a.tree.missed(int64(v.PageSize))
	if c := a.course; c != nil {
		if c.lost() {
			r.room = max(c.window/2, firstDecoded) // others need the cache too
			c.window, c.run = 0, orderly
		}
		r.passed(ctx, v, pgno, true)
	}
	r.consult(ctx, v, a.tree, a.way)
}

// came notes that a page was read that was here.
func (r *Reader) came(ctx context.Context, v *index.View, pgno uint32, page []byte) {
	r.advance(ctx, v, pgno, false)
	r.passed(ctx, v, pgno, false)
	r.goOn(ctx, v, pgno)
	r.open(v, pgno, page)
}

// arrived notes that a page was read that had to be waited for.
func (r *Reader) arrived(ctx context.Context, v *index.View, p index.Page, a *aim, page []byte) {
	if a.known() && a.course == nil {
		r.plot(v, a.tree, p.Pgno, a.way, page)
	}
	r.prime(v, p, page)
	r.goOn(ctx, v, p.Pgno)
	r.open(v, p.Pgno, page)
}
