package vfs

import (
	"context"
	"net/url"
	"slices"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/util/vfsutil"
	"github.com/ncruces/go-sqlite3/vfs"

	"github.com/litefs-s3/litefs-s3/index"
)

// Opener returns the Database for a file name and the parameters of its URI, those of SQLite and of the driver left out.
type Opener func(ctx context.Context, name string, params url.Values) (Database, error)

// Register makes open the VFS of the given name.
func Register(name string, open Opener) {
	vfs.Register(name, &fileSystem{name: name, open: open})
}

// fileSystem implements vfs.VFSFilename.
type fileSystem struct {
	name string
	open Opener
}

var _ vfs.VFSFilename = (*fileSystem)(nil)

// Foreign are the URI parameters that SQLite and the driver act upon.
var Foreign = []string{
	"vfs", "mode", "cache", "immutable", "nolock", "psow", "modeof",
	"_pragma", "_txlock", "_timefmt",
}

// Times are the URI parameters that this package acts upon: open at a point in time.
var Times = []string{"time", "txid"}

func (s *fileSystem) Open(name string, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	return s.OpenFilename(nil, flags)
}

func (s *fileSystem) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	switch {
	case flags&vfs.OPEN_MAIN_DB != 0:
		f, err := s.openMain(name)
		if err != nil {
			return nil, flags, vfs.SystemError(err, sqlite3.CANTOPEN)
		}
		if f.db.Writable() && flags&vfs.OPEN_READWRITE != 0 {
			return f, flags, nil
		}
		return f, flags&^(vfs.OPEN_READWRITE|vfs.OPEN_CREATE) | vfs.OPEN_READONLY, nil
	case flags&(vfs.OPEN_MAIN_JOURNAL|vfs.OPEN_SUPER_JOURNAL) != 0:
		return new(journal), flags, nil // nothing uncommitted ever outlives a connection
	case flags&vfs.OPEN_WAL != 0:
		return nil, flags, sqlite3.CANTOPEN
	}
	return vfsutil.WrapOpenFilename(vfs.Find(""), nil, flags) // temporary files
}

func (s *fileSystem) openMain(name *vfs.Filename) (*file, error) {
	ctx, cancel := context.WithTimeout(context.Background(), openDeadline)
	defer cancel()
	params := name.URIParameters()
	own := url.Values{}
	for key, values := range params {
		if !slices.Contains(Foreign, key) && !slices.Contains(Times, key) {
			own[key] = values
		}
	}
	db, err := s.open(ctx, name.String(), own)
	if err != nil {
		return nil, err
	}
	f := &file{db: db}
	if err := f.start(ctx, params.Get("time"), params.Get("txid")); err != nil {
		db.Close()
		return nil, err
	}
	return f, nil
}

// Delete has nothing to do: journals are gone when they are closed.
func (s *fileSystem) Delete(string, bool) error { return nil }

// Access always says no: journals and write-ahead logs are what SQLite asks for.
func (s *fileSystem) Access(string, vfs.AccessFlag) (bool, error) { return false, nil }

func (s *fileSystem) FullPathname(name string) (string, error) { return name, nil }

// handle returns the file behind a schema of a connection.
func handle(conn *sqlite3.Conn, schema string) (*file, bool) {
	name := conn.Filename(schema)
	if name.String() == "" {
		return nil, false // no such schema, or one in memory, whose file the driver cannot be asked for
	}
	return vfsutil.UnwrapFile[*file](name.DatabaseFile())
}

// Of returns the Database that the schema of a connection ("main", or the name of an attached database) was opened as. ok is
// false when the schema is not on this VFS.
func Of(conn *sqlite3.Conn, schema string) (_ Database, ok bool) {
	f, ok := handle(conn, schema)
	if !ok {
		return nil, false
	}
	return f.db, true
}

// Cause returns the Go error behind the last error that a read of the schema ("main", or the name of an attached database)
// has given, or nil. ok is false when the schema is not on this VFS.
func Cause(conn *sqlite3.Conn, schema string) (cause error, ok bool) {
	f, ok := handle(conn, schema)
	if !ok {
		return nil, false
	}
	return f.cause, true
}

// View returns the View that the schema of a connection reads: that of the transaction, or of the next one.
func View(conn *sqlite3.Conn, schema string) (*index.View, bool) {
	f, ok := handle(conn, schema)
	if !ok {
		return nil, false
	}
	s, err := f.reading(context.Background())
	return s.View, err == nil && s.View != nil
}
