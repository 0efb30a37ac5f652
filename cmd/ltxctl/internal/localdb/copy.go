package localdb

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/ncruces/go-sqlite3"
)

// Image is a copy of a database at one moment: an ordinary file with all its pages, in a directory of its own.
type Image struct {
	*os.File
	Size int64 // bytes
	dir  string
}

// Path is where the image lies.
func (i *Image) Path() string { return i.Name() }

// Close closes the image and removes it.
func (i *Image) Close() error { return errors.Join(i.File.Close(), os.RemoveAll(i.dir)) }

// pagesAtOnce is how many pages are copied before somebody is told, and may interrupt.
const pagesAtOnce = 1024

// Copy copies the database at path to a new directory below dir, the system's one for temporary files when dir is empty.
// onProgress, when not nil, is told of pages. After an error nothing is left.
func Copy(ctx context.Context, path, dir string, onProgress func(done, total int64)) (_ *Image, err error) {
	if err := plainFile(path); err != nil {
		return nil, err
	}
	image := new(Image)
	if image.dir, err = os.MkdirTemp(dir, "ltxctl-*"); err != nil {
		return nil, fmt.Errorf("copy %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("copy %s: %w", path, err), os.RemoveAll(image.dir))
		}
	}()
	to := filepath.Join(image.dir, "image.db")
	if err = backup(ctx, path, to, onProgress); err != nil {
		return nil, err
	}
	if image.File, err = os.Open(to); err != nil {
		return nil, err
	}
	info, err := image.Stat()
	if err != nil {
		return nil, errors.Join(err, image.File.Close())
	}
	image.Size = info.Size()
	return image, nil
}

// ErrEmpty: there is no database in the file yet.
var ErrEmpty = errors.New("the file is empty: no database was made in it yet")

// plainFile refuses what SQLite would make a new database of, or cannot say what is wrong with.
func plainFile(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not an ordinary file; give a SQLite database", path)
	case info.Size() == 0 && !hasWAL(path):
		return fmt.Errorf("%s: %w", path, ErrEmpty)
	}
	return nil
}

// hasWAL reports whether something is in a write-ahead log beside the database.
func hasWAL(path string) bool {
	info, err := os.Stat(path + "-wal")
	return !errors.Is(err, fs.ErrNotExist) && err == nil && info.Size() > 0
}

func backup(ctx context.Context, from, to string, onProgress func(done, total int64)) (err error) {
	conn, err := sqlite3.OpenContext(ctx, uri(from, "rw")) // to roll back what a crash has left half done; never to create
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if _, err := conn.Config(sqlite3.DBCONFIG_NO_CKPT_ON_CLOSE, true); err != nil {
		return err
	}
	conn.SetInterrupt(ctx)
	defer conn.SetInterrupt(context.Background())                                  // closing is not to be interrupted
	if err := conn.Exec("BEGIN; SELECT count(*) FROM sqlite_schema"); err != nil { // one moment, from here to the end
		return err
	}
	if err := steps(ctx, conn, to, onProgress); err != nil {
		return err
	}
	return conn.Exec("ROLLBACK")
}

func steps(ctx context.Context, conn *sqlite3.Conn, to string, onProgress func(done, total int64)) (err error) {
	b, err := conn.BackupInit("main", uri(to, "rwc"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	for done := false; !done; {
		if err := ctx.Err(); err != nil {
			return err
		}
		if done, err = b.Step(pagesAtOnce); err != nil {
			return err
		}
		if onProgress != nil {
			onProgress(int64(b.PageCount()-b.Remaining()), int64(b.PageCount()))
		}
	}
	return nil
}

// uri names a file for SQLite, whatever is in its name.
func uri(path, mode string) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // C:/directory
	}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: "mode=" + mode}).String()
}
