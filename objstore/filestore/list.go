package filestore

import (
	"cmp"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/litefs-s3/litefs-s3/objstore"
)

// List implements objstore.Lister. All there is comes in one page.
func (s *Store) List(ctx context.Context, prefix, startAfter string) (objstore.Page, error) {
	objects, err := s.list(ctx, prefix, startAfter)
	if err != nil {
		return objstore.Page{}, s.fail("list", prefix, err)
	}
	return objstore.Page{Objects: objects}, nil
}

func (s *Store) list(ctx context.Context, prefix, startAfter string) ([]objstore.Info, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	layout, err := s.currentLayout()
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(s.dir); err != nil {
		return nil, err
	}
	l := &lister{ctx: ctx, prefix: prefix, startAfter: startAfter}
	if layout == Litestream {
		err = l.litestream(s.dir)
	} else {
		err = l.folder("", s.dir)
	}
	slices.SortFunc(l.objects, func(a, b objstore.Info) int { return cmp.Compare(a.Key, b.Key) })
	return l.objects, err
}

// lister collects the objects of one listing, folder by folder.
type lister struct {
	ctx                context.Context
	prefix, startAfter string
	objects            []objstore.Info // in no order: "a-b" comes before "a/b" and folder a before both
}

// litestream lists the levels and then everything else.
func (l *lister) litestream(dir string) error {
	levels, err := readDir(filepath.Join(dir, "ltx"))
	if err != nil {
		return err
	}
	for _, e := range levels {
		if key, ok := keyFolder(e.Name()); ok && e.IsDir() && l.wants(key+"/") {
			if err := l.folder(key+"/", filepath.Join(dir, "ltx", e.Name())); err != nil {
				return err
			}
		}
	}
	rest, err := readDir(dir)
	if err != nil {
		return err
	}
	rest = slices.DeleteFunc(rest, func(e fs.DirEntry) bool {
		return e.Name() == "ltx" || (e.IsDir() && level.MatchString(e.Name()))
	})
	return l.entries("", dir, rest)
}

// folder lists the directory at path, whose keys begin with key.
func (l *lister) folder(key, path string) error {
	entries, err := readDir(path)
	if err != nil {
		return err
	}
	return l.entries(key, path, entries)
}

func (l *lister) entries(key, path string, entries []fs.DirEntry) error {
	if err := l.ctx.Err(); err != nil {
		return err
	}
	for _, e := range entries {
		name := key + e.Name()
		var err error
		switch {
		case isHidden(e.Name()):
		case e.IsDir() && l.wants(name+"/"):
			err = l.folder(name+"/", filepath.Join(path, e.Name()))
		case e.Type().IsRegular() && name > l.startAfter && strings.HasPrefix(name, l.prefix):
			err = l.add(name, e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// wants says whether keys in a folder can be wanted.
func (l *lister) wants(folder string) bool {
	onTheWay := strings.HasPrefix(folder, l.prefix) || strings.HasPrefix(l.prefix, folder)
	over := folder < l.startAfter && !strings.HasPrefix(l.startAfter, folder)
	return onTheWay && !over
}

func (l *lister) add(key string, e fs.DirEntry) error {
	if objstore.ValidateKey(key) != nil {
		return nil // nobody could read it
	}
	info, err := e.Info()
	if isMissing(err) {
		return nil // removed meanwhile
	}
	if err != nil {
		return err
	}
	l.objects = append(l.objects, objstore.Info{Key: key, Size: info.Size(), ETag: etagOf(info), Modified: info.ModTime()})
	return nil
}

// readDir counts a directory that is not there as empty: it may have been removed meanwhile.
func readDir(path string) ([]fs.DirEntry, error) {
	entries, err := os.ReadDir(path)
	if isMissing(err) {
		return nil, nil
	}
	return entries, err
}
