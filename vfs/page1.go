package vfs

import (
	"context"

	"github.com/litefs-s3/litefs-s3/internal/page1"
)

// first is page 1 of one Snapshot as SQLite gets to see it: see [patch].
type first struct {
	of   Snapshot
	data []byte
}

// read returns page 1 of s, which the caller must not change.
func (p *first) read(ctx context.Context, r PageReader, s Snapshot) ([]byte, error) {
	if p.of == s {
		return p.data, nil
	}
	p.of = Snapshot{}
	if uint32(len(p.data)) != s.PageSize {
		p.data = make([]byte, s.PageSize)
	}
	if err := s.read(ctx, r, 1, p.data); err != nil {
		return nil, err
	}
	patch(p.data, s)
	p.of = s
	return p.data, nil
}

// patch makes page 1 of s what a reader without journal, log and locks needs:
//
//   - The database is in rollback mode: in WAL mode SQLite would ask for shared memory.
//   - The change counter is the Snapshot's, so that SQLite drops its cache when, and only when, the content is another one.
//   - The size is the commit size, and believed.
func patch(page []byte, s Snapshot) { page1.Show(page, s.Counter, s.Commit) }
