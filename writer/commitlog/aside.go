package commitlog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const asidePrefix = "set-aside-"

// SetAside puts the whole log out of the way, under a name that it returns. Transactions that somebody holds stay readable. The log takes
// nothing more until Begin.
func (l *Log) SetAside(now time.Time) (path string, err error) {
	l.turn <- struct{}{}
	defer l.give()
	if errors.Is(l.failed, ErrClosed) || errors.Is(l.failed, ErrSetAside) {
		return "", l.failed
	}
	if l.opts.Policy != Never {
		_ = syncFile(l.current().file) // it is kept whatever comes of that
	}
	path, err = setAside(l.dir, now)
	if err != nil {
		return "", fmt.Errorf("commit log %s: set aside: %w", l.dir, err)
	}
	l.failed = fmt.Errorf("commit log: %w: %s", ErrSetAside, path)
	return path, nil
}

// SetAside puts a log out of the way that cannot be opened, because it is damaged. Nobody may have it open.
func SetAside(dir string, now time.Time) (path string, err error) {
	lock, err := takeLock(filepath.Join(dir, lockName))
	if err != nil {
		return "", fmt.Errorf("commit log %s: %w", dir, err)
	}
	defer closeLock(lock)
	return setAside(dir, now)
}

func setAside(dir string, now time.Time) (string, error) {
	name := asidePrefix + now.UTC().Format("20060102T150405.000")
	for n := 2; ; n++ {
		_, err := os.Lstat(filepath.Join(dir, name))
		if errors.Is(err, os.ErrNotExist) {
			break
		}
		if err != nil {
			return "", err
		}
		name = fmt.Sprintf("%s-%d", asidePrefix+now.UTC().Format("20060102T150405.000"), n)
	}
	path := filepath.Join(dir, name)
	if err := os.Rename(filepath.Join(dir, segmentsName), path); err != nil {
		return "", err
	}
	if err := os.Mkdir(filepath.Join(dir, segmentsName), 0o700); err != nil {
		return path, err
	}
	return path, syncDirs(dir)
}

// Asides returns the logs that were set aside in a log's directory, oldest first.
func Asides(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, e := range entries {
		if e.IsDir() && strings.HasPrefix(e.Name(), asidePrefix) {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	return paths, nil
}

// Reading is a log that is only read: one that was set aside.
type Reading struct {
	Found
	Replica string
	Damage  error // why it was not read further, or nil

	segs []*segment
}

// Read reads a log that was set aside, as far as it is good.
func Read(path string) (*Reading, error) {
	segs, err := segmentPaths(path)
	if err != nil {
		return nil, fmt.Errorf("commit log %s: %w", path, err)
	}
	if len(segs) == 0 {
		return nil, fmt.Errorf("commit log %s: no segments in it (%s); a log that was set aside is a directory named %s…",
			path, "files like "+segmentName(1), asidePrefix)
	}
	r := &replayer{segs: segs, readOnly: true}
	err = r.run()
	var damage *DamagedError
	if err != nil && !errors.As(err, &damage) {
		r.close()
		return nil, fmt.Errorf("commit log %s: %w", path, err)
	}
	r.dropConfirmed()
	return &Reading{
		Found:   Found{PageSize: r.pageSize, Base: r.base, Seal: r.seal, Pending: r.pending, Torn: r.torn},
		Replica: r.first.Replica, Damage: err, segs: segs,
	}, nil
}

// Close closes the files.
func (r *Reading) Close() {
	for _, s := range r.segs {
		if s.file != nil {
			_ = s.file.Close()
		}
	}
}
