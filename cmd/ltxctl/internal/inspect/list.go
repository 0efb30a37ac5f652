package inspect

import (
	"context"
	"fmt"
	"time"

	"github.com/litefs-s3/litefs-s3/index"
)

// List returns all LTX files of a replica, by level and then TXIDs. A place without any is an error that says what is there instead.
func List(ctx context.Context, store index.Reader) ([]*File, error) {
	c, err := index.ListAll(ctx, store)
	if err != nil {
		return nil, err
	}
	if len(c.Files) == 0 {
		return nil, noReplica(ctx, store)
	}
	files := make([]*File, len(c.Files))
	for i := range c.Files {
		files[i] = &File{File: c.Files[i]}
	}
	return files, nil
}

// noReplica says why there is nothing to open. Opening knows best.
func noReplica(ctx context.Context, store index.Reader) error {
	_, err := index.Open(ctx, store, index.Options{PollInterval: -1})
	if err == nil {
		return fmt.Errorf("the replica appeared only just now; try again: %w", index.ErrNoReplica)
	}
	return err
}

// Total adds files up.
type Total struct {
	Files  int
	Bytes  int64
	Min    index.TXID
	Max    index.TXID
	Oldest time.Time // stored
	Newest time.Time
}

// Sum adds up files.
func Sum(files []*File) Total {
	var t Total
	for _, f := range files {
		t.Files++
		t.Bytes += f.Size
		if t.Files == 1 || f.Min < t.Min {
			t.Min = f.Min
		}
		t.Max = max(t.Max, f.Max)
		if t.Oldest.IsZero() || f.Modified.Before(t.Oldest) {
			t.Oldest = f.Modified
		}
		if f.Modified.After(t.Newest) {
			t.Newest = f.Modified
		}
	}
	return t
}
