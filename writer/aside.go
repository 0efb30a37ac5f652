package writer

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/writer/commitlog"
)

// Aside is a commit log that was set aside: commits that returned, and that the bucket went on without.
type Aside struct {
	Path     string
	Replica  string     // as Options.Replica had it
	Base     index.TXID // the bucket's state that the commits go on from; 0 when there was none
	PageSize uint32     // bytes
	Commits  []AsideCommit
	Damage   error // why it could not be read further, or nil

	reading *commitlog.Reading
}

// AsideCommit is one commit of an Aside.
type AsideCommit struct {
	Seq   uint64
	Size  uint32 // of the database after it, in pages
	Pgnos []uint32

	rec commitlog.Recorded
}

// Asides returns the paths of the logs that were set aside beside the log at logPath, oldest first.
func Asides(logPath string) ([]string, error) { return commitlog.Asides(logPath) }

// ReadAside reads a log that was set aside. It changes nothing.
func ReadAside(path string) (*Aside, error) {
	r, err := commitlog.Read(path)
	if err != nil {
		return nil, err
	}
	a := &Aside{Path: path, Replica: r.Replica, Base: r.Base.TXID, PageSize: r.PageSize, Damage: r.Damage, reading: r}
	for _, rec := range r.Pending {
		c := AsideCommit{Seq: rec.Seq, Size: rec.Commit, rec: rec}
		for _, e := range rec.Entries {
			c.Pgnos = append(c.Pgnos, e.Pgno)
		}
		a.Commits = append(a.Commits, c)
	}
	return a, nil
}

// Close closes the files.
func (a *Aside) Close() { a.reading.Close() }

// Pages yields the pages of a commit, ascending, until one cannot be read. Each is good until the next.
func (c AsideCommit) Pages() iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		page := make([]byte, c.rec.PageSize)
		for slot, e := range c.rec.Entries {
			err := c.rec.ReadPage(slot, e, page)
			if !yield(page, err) || err != nil {
				return
			}
		}
	}
}

// WriteLTX writes all the commits as one LTX file, which applies to the database at Base and makes it the transaction after that, as of
// now.
func (a *Aside) WriteLTX(w io.Writer) error {
	if len(a.Commits) == 0 {
		return fmt.Errorf("%s: no commits in it", a.Path)
	}
	last := a.Commits[len(a.Commits)-1]
	seal := commitlog.Seal{TXID: a.Base + 1, Seq: last.Seq, Time: time.Now().UTC().Truncate(time.Millisecond), Commit: last.Size}
	b, err := sealed(seal, a.reading.Base, a.reading.Pending)
	if err != nil {
		return err
	}
	if err := b.encode(""); err != nil {
		return err
	}
	_, err = io.Copy(w, b.body.reader())
	return errors.Join(err, b.drop())
}
