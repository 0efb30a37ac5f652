package restore

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/litefs-s3/litefs-s3/index"
)

const (
	stateSuffix = "-follow"
	stateFormat = 1
)

// state says what a followed file holds. It is written before each update, and names the moment before as well as the one after: the change
// counter in the file tells which of them it is, whoever has rolled an update back.
type state struct {
	Format   int       `json:"format"`
	PageSize uint32    `json:"page_size"`
	Moments  []moment  `json:"moments"` // one or two
	Files    []fileTag `json:"files"`   // of the newest moment: by them its history is known again
}

// moment is one that the file may hold.
type moment struct {
	TXID    index.TXID `json:"txid"`
	Counter uint32     `json:"counter"` // change counter in page 1
	Commit  uint32     `json:"commit"`  // pages
}

// fileTag is one file of the replica.
type fileTag struct {
	Key  string `json:"key"`
	Size int64  `json:"size"` // bytes
	ETag string `json:"etag"`
}

func tagsOf(v *index.View) []fileTag {
	var tags []fileTag
	for _, f := range v.Files() {
		tags = append(tags, fileTag{f.Key(), f.Size, f.ETag})
	}
	return tags
}

// readState reads the state file beside a database. The error is fs.ErrNotExist when there is none.
func readState(path string) (s state, err error) {
	b, err := os.ReadFile(path + stateSuffix)
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(b, &s); err != nil || s.Format != stateFormat || len(s.Moments) == 0 {
		return s, fmt.Errorf("%s is not a state file of this version: %w", path+stateSuffix, errors.Join(err, ErrNotOurs))
	}
	return s, nil
}

// write replaces the state file, on disk when it returns.
func (s state) write(path string) error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	name := path + stateSuffix
	f, err := os.OpenFile(name+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(name+".new", name); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// of returns the moment that a file with that counter and size holds.
func (s state) of(counter uint32, size int64) (moment, bool) {
	for _, m := range s.Moments {
		if m.Counter == counter && size == int64(m.Commit)*int64(s.PageSize) {
			return m, true
		}
	}
	return moment{}, false
}

func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }
