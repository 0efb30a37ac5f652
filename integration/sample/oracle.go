package sample

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"testing"

	"github.com/ncruces/go-sqlite3"
)

// Image writes to dst, a new file, the database at src as of its last commit: a plain file, the WAL folded in, every
// page as it is. src may be in use by other processes; their writes wait meanwhile.
func Image(ctx context.Context, src, dst string) (err error) {
	conn, err := sqlite3.OpenContext(ctx, fileURI(src)+"?mode=rw")
	if err != nil {
		return fmt.Errorf("image of %s: %w", src, err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	// Nobody commits while we hold the write lock, so the WAL does not start over. A checkpoint may still copy pages
	// from the WAL to the file under us; they are in the WAL that we copy afterwards, which goes over the file.
	if err := conn.Exec("PRAGMA busy_timeout=10000; BEGIN IMMEDIATE"); err != nil {
		return fmt.Errorf("image of %s: %w", src, err)
	}
	defer func() { err = errors.Join(err, conn.Exec("ROLLBACK")) }()
	if err := errors.Join(Copy(dst, src), copyIfThere(dst+"-wal", src+"-wal")); err != nil {
		return fmt.Errorf("image of %s: %w", src, err)
	}
	if err := foldWAL(ctx, dst); err != nil {
		return fmt.Errorf("fold WAL into %s: %w", dst, err)
	}
	return nil
}

func copyIfThere(dst, src string) error {
	if err := Copy(dst, src); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// foldWAL checkpoints the database, which nobody else has open, and so does away with its WAL.
func foldWAL(ctx context.Context, path string) (err error) {
	conn, err := sqlite3.OpenContext(ctx, fileURI(path)+"?mode=rw")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	return conn.Exec("PRAGMA wal_checkpoint(TRUNCATE)")
}

// Compare says in what two databases differ, page by page; nil means nowhere. Not compared are the bytes of page 1
// that may differ between copies of one database: the journal mode (18, 19), the change counter (24 to 27) and the
// version-valid-for and SQLite version numbers (92 to 99). Both must be plain files without a WAL that counts.
func Compare(pathA, pathB string) error {
	a, err := openPages(pathA)
	if err != nil {
		return err
	}
	defer a.Close()
	b, err := openPages(pathB)
	if err != nil {
		return err
	}
	defer b.Close()
	if a.pageSize != b.pageSize || a.count != b.count {
		return fmt.Errorf("%s has %d pages of %d bytes, %s has %d of %d",
			pathA, a.count, a.pageSize, pathB, b.count, b.pageSize)
	}
	diff, err := differentPages(a, b)
	if err != nil {
		return err
	}
	if len(diff) > 0 {
		return fmt.Errorf("%s and %s differ in %d of %d pages: %v", pathA, pathB, len(diff), a.count, diff[:min(len(diff), 20)])
	}
	return nil
}

// pages is a database file read front to back.
type pages struct {
	*os.File
	pageSize int
	count    int64
}

// openPages opens the database at path for reading page by page.
func openPages(path string) (p *pages, err error) {
	if wal, err := os.Stat(path + "-wal"); err == nil && wal.Size() > 0 {
		return nil, fmt.Errorf("%s has a WAL of %d bytes: compare an Image of it", path, wal.Size())
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	head := make([]byte, 100)
	if _, err := f.ReadAt(head, 0); err != nil || !bytes.HasPrefix(head, []byte("SQLite format 3\x00")) {
		return nil, fmt.Errorf("%s is no SQLite database (%d bytes)", path, info.Size())
	}
	size := int(binary.BigEndian.Uint16(head[16:]))
	if size == 1 {
		size = 65536
	}
	if info.Size()%int64(size) != 0 {
		return nil, fmt.Errorf("%s: %d bytes are no whole number of %d-byte pages", path, info.Size(), size)
	}
	return &pages{File: f, pageSize: size, count: info.Size() / int64(size)}, nil
}

// differentPages lists the numbers of the pages that differ between two files with the same number of them.
func differentPages(a, b *pages) (diff []int64, err error) {
	const chunk = 1 << 20 // a multiple of every page size
	bufA, bufB := make([]byte, chunk), make([]byte, chunk)
	for first := int64(1); first <= a.count; first += chunk / int64(a.pageSize) {
		n := min(chunk, int(a.count-first+1)*a.pageSize)
		if err := errors.Join(readFull(a, bufA[:n]), readFull(b, bufB[:n])); err != nil {
			return nil, err
		}
		if first == 1 {
			forgetVolatile(bufA)
			forgetVolatile(bufB)
		}
		if bytes.Equal(bufA[:n], bufB[:n]) {
			continue
		}
		for off := 0; off < n; off += a.pageSize {
			if !bytes.Equal(bufA[off:off+a.pageSize], bufB[off:off+a.pageSize]) {
				diff = append(diff, first+int64(off/a.pageSize))
			}
		}
	}
	return diff, nil
}

func readFull(p *pages, buf []byte) error {
	if _, err := io.ReadFull(p, buf); err != nil {
		return fmt.Errorf("%s: %w", p.Name(), err)
	}
	return nil
}

// forgetVolatile clears the bytes of page 1 that Compare ignores.
func forgetVolatile(page1 []byte) {
	clear(page1[18:20])
	clear(page1[24:28])
	clear(page1[92:100])
}

// EqualDatabases fails the test unless [Compare] finds no difference.
func EqualDatabases(t testing.TB, pathA, pathB string) {
	t.Helper()
	if err := Compare(pathA, pathB); err != nil {
		t.Error(err)
	}
}

// Check runs SQLite's integrity check over the database at path and returns what it complains of.
func Check(ctx context.Context, path string) (err error) {
	conn, err := sqlite3.OpenContext(ctx, fileURI(path)+"?mode=rw")
	if err != nil {
		return fmt.Errorf("check %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if err := conn.Exec("PRAGMA busy_timeout=10000"); err != nil {
		return err
	}
	stmt, _, err := conn.Prepare("PRAGMA integrity_check(10)")
	if err != nil {
		return fmt.Errorf("check %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, stmt.Close()) }()
	for stmt.Step() {
		if line := stmt.ColumnText(0); line != "ok" {
			err = errors.Join(err, fmt.Errorf("%s is damaged: %s", path, line))
		}
	}
	return errors.Join(err, stmt.Err())
}

// IntegrityCheck fails the test unless [Check] finds nothing.
func IntegrityCheck(t testing.TB, path string) {
	t.Helper()
	if err := Check(t.Context(), path); err != nil {
		t.Error(err)
	}
}
