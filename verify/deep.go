package verify

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/litefs-s3/litefs-s3/bulk"
	"github.com/litefs-s3/litefs-s3/index"
)

// Image is a database that was built to be looked at.
type Image struct {
	Path  string        `json:"path"`
	TXID  index.TXID    `json:"txid"`
	Time  time.Time     `json:"time"`  // of its newest transaction, by the writer's clock
	Bytes int64         `json:"bytes"` // of the database
	Took  time.Duration `json:"took_nsec"`
}

// Deep builds the database of v as a file in a new directory below dir (below the system's one for temporary files when dir is empty), as a
// restore would. The caller opens it with SQLite and runs PRAGMA integrity_check, gives the verdict to [Judge] if it keeps a report,
// and calls Remove. After an error nothing is left; the error is index.ErrCorrupt when the replica's bytes cannot be right.
func Deep(ctx context.Context, src bulk.Source, v *index.View, dir string, onProgress func(bulk.Progress)) (_ *Image, err error) {
	begin := time.Now()
	dir, err = os.MkdirTemp(dir, "litefs-s3-verify-*")
	if err != nil {
		return nil, fmt.Errorf("deep check at txid %s: %w", v.TXID, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	image := &Image{Path: filepath.Join(dir, "image.db"), TXID: v.TXID, Time: v.Time, Bytes: bulk.Offset(v.Commit, v.PageSize) + int64(v.PageSize)}
	f, err := os.OpenFile(image.Path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	err = f.Truncate(image.Bytes)
	if err == nil {
		_, err = bulk.Copy(ctx, src, v, bulk.All(v), f, bulk.Options{OnProgress: onProgress})
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("deep check at txid %s: %w", v.TXID, err)
	}
	image.Took = time.Since(begin)
	return image, nil
}

// Remove removes the image and what SQLite may have put beside it.
func (i *Image) Remove() error { return os.RemoveAll(filepath.Dir(i.Path)) }

// Judge adds what a deep check at a moment came to. err is what Deep or SQLite failed with; verdict is what integrity_check said when
// they did not.
func (r *Report) Judge(txid index.TXID, verdict string, err error) {
	switch {
	case err != nil && errors.Is(err, index.ErrCorrupt):
		r.Problems = append(r.Problems, Problem{Outcome: Bad, Text: err.Error(), Err: err})
	case err != nil:
		r.Problems = append(r.Problems, Problem{Outcome: Unknown, Text: err.Error(), Err: err})
	case verdict != "ok":
		text := fmt.Sprintf("the database at txid %s does not pass PRAGMA integrity_check: %s", txid, verdict)
		r.Problems = append(r.Problems, Problem{Outcome: Bad, Text: text, Err: index.ErrCorrupt})
	}
	r.judge()
}
