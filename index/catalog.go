package index

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/litefs-s3/litefs-s3/objstore"
)

// Catalog is what one listing of a replica found.
type Catalog struct {
	Files []File // by level, then TXIDs
	At    time.Time

	// Complete is false when files that can only matter for the past were not listed.
	Complete bool

	legacy  bool   // a generations/ folder of Litestream v0.3 is there
	deeper  string // a prefix below this one that looks like a replica, if one was seen
	strange int    // objects that are no part of a replica
}

// ListHead lists what is needed to open the newest state: in one request when the whole prefix fits a page of results;
// else the higher levels side by side, and of levels 1 and 0 what those do not cover. The catalog may lack
// files that start inside what higher levels cover: when a plan then shows a gap, ask ListAll.
func ListHead(ctx context.Context, l objstore.Lister) (*Catalog, error) {
	c := &Catalog{At: time.Now(), Complete: true}
	page, err := l.List(ctx, "", "")
	if err != nil {
		return nil, err // it says that it was a listing, and of what
	}
	c.add(page.Objects)
	if page.More && len(page.Objects) > 0 {
		c.Complete = false
		err = c.listRest(ctx, l, page.Objects[len(page.Objects)-1].Key)
	}
	return c.sorted(), err
}

// ListAll lists every file of every level.
func ListAll(ctx context.Context, l objstore.Lister) (*Catalog, error) {
	c := &Catalog{At: time.Now(), Complete: true}
	page, err := l.List(ctx, "", "")
	if err != nil {
		return nil, err // it says that it was a listing, and of what
	}
	c.add(page.Objects)
	if page.More && len(page.Objects) > 0 {
		last := page.Objects[len(page.Objects)-1].Key
		err = c.listLevels(ctx, l, levelsFrom(last), func(level int) string {
			return max(last, levelPrefix(level))
		})
	}
	return c.sorted(), err
}

// listRest adds what the first page of a long listing, which ended with the key last, did not hold.
func (c *Catalog) listRest(ctx context.Context, l objstore.Lister, last string) error {
	var high, low []int
	for _, level := range levelsFrom(last) {
		if level >= 2 {
			high = append(high, level)
		} else {
			low = append(low, level)
		}
	}
	err := c.listLevels(ctx, l, high, func(level int) string { return max(last, levelPrefix(level)) })
	if err != nil || len(low) == 0 {
		return err
	}
	return c.listLevels(ctx, l, low, func(level int) string {
		return max(last, fmt.Sprintf("%s%s-~", levelPrefix(level), c.covered(level)))
	})
}

// covered is the TXID from which on files of level 0 or 1 are needed. A file of level 0 is one TXID, so it is needed or
// not. One of level 1 may begin inside what a snapshot covers and end beyond it, so level 1 is wanted from the
// beginning of the last merged file on.
func (c *Catalog) covered(level int) TXID {
	var covered, merged TXID
	for i := range c.Files {
		f := &c.Files[i]
		if f.Level >= 2 {
			covered = max(covered, f.Max)
		}
		if f.Level >= 2 && f.Level < SnapshotLevel {
			merged = max(merged, f.Min)
		}
	}
	if level == 0 {
		return covered
	}
	return max(merged, 1) - 1
}

// reaches reports whether the listing shows f if it is there.
func (c *Catalog) reaches(f *File) bool {
	return c.Complete || f.Level >= 2 || f.Min > c.covered(f.Level)
}

// levelsFrom returns the levels that have keys after last.
func levelsFrom(last string) []int {
	var levels []int
	for level := range MaxLevel + 1 {
		if last < levelPrefix(level)+"~" {
			levels = append(levels, level)
		}
	}
	return levels
}

// listLevels lists the given levels side by side, each from a key on.
func (c *Catalog) listLevels(ctx context.Context, l objstore.Lister, levels []int, startAfter func(int) string) error {
	found := make([][]objstore.Info, len(levels))
	g, ctx := errgroup.WithContext(ctx)
	for i, level := range levels {
		g.Go(func() (err error) {
			found[i], err = objstore.ListAll(ctx, l, levelPrefix(level), startAfter(level))
			if err != nil {
				err = fmt.Errorf("list level %d: %w", level, err)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, objects := range found {
		c.add(objects)
	}
	return nil
}

func (c *Catalog) add(objects []objstore.Info) {
	for _, o := range objects {
		level, lo, hi, ok := ParseKey(o.Key)
		if ok {
			c.Files = append(c.Files, File{level, lo, hi, o.Size, o.ETag, o.Modified})
			continue
		}
		c.strange++
		c.legacy = c.legacy || strings.HasPrefix(o.Key, "generations/")
		if c.deeper == "" {
			c.deeper = replicaBelow(o.Key)
		}
	}
}

// replicaBelow returns the folder that holds a replica, when key is an LTX file of one further down.
func replicaBelow(key string) string {
	dir, name := path.Split(key)
	parent, level := path.Split(strings.TrimSuffix(dir, "/"))
	if _, _, _, ok := ParseKey(level + "/" + name); ok {
		return strings.TrimSuffix(parent, "/")
	}
	return ""
}

func (c *Catalog) sorted() *Catalog {
	slices.SortFunc(c.Files, compareFiles)
	c.Files = slices.CompactFunc(c.Files, func(a, b File) bool { return sameName(&a, &b) })
	return c
}

// Max is the highest TXID of any file, 0 when there is none.
func (c *Catalog) Max() TXID {
	var highest TXID
	for i := range c.Files {
		highest = max(highest, c.Files[i].Max)
	}
	return highest
}

// check returns why the listing holds no replica, or nil.
func (c *Catalog) check() error {
	switch {
	case len(c.Files) > 0:
		return nil
	case c.legacy:
		return fmt.Errorf("%w: the prefix holds one of Litestream v0.3 (generations/), which only Litestream's restore reads; "+
			"restore it with that, and replicate to a new prefix with v0.5", ErrNoReplica)
	case c.deeper != "":
		return fmt.Errorf("%w: the prefix holds no LTX files, but %q below it does; add that to the replica's URL", ErrNoReplica, c.deeper)
	case c.strange > 0:
		return fmt.Errorf("%w: the prefix holds other objects but no LTX files (like 0000/0000000000000001-0000000000000001.ltx); check the path",
			ErrNoReplica)
	}
	return fmt.Errorf("%w: nothing is stored under the prefix; check bucket and path, or start the writer first", ErrNoReplica)
}

// named returns the file that the listing has under the key of f, or nil.
func (c *Catalog) named(f *File) *File {
	i, ok := slices.BinarySearchFunc(c.Files, *f, compareFiles)
	if !ok {
		return nil
	}
	return &c.Files[i]
}
