package sim

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/superfly/ltx"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/internal/page1"
)

const pageSize = 512

// image is a database: for each page the number of the commit that wrote it, or 0 for one that grew and was never written.
type image []uint32

// commit is one that a node has tried.
type commit struct {
	id, parent uint32
	image      image
	failed     bool // it was said not to have happened
}

// moment is a transaction of the bucket.
type moment struct {
	commit *commit
	time   time.Time // in the header
}

// model is what the bucket must hold. Its methods are safe for concurrent use.
type model struct {
	mu      sync.Mutex
	commits []*commit // by id; 0 is the database before the first one
	moments []moment  // by TXID; 0 likewise
}

func newModel() *model {
	none := &commit{}
	return &model{commits: []*commit{none}, moments: []moment{{commit: none}}}
}

// page is what a commit writes.
func page(id, pgno uint32) []byte {
	p := make([]byte, pageSize)
	if id == 0 {
		return p
	}
	fill := 40 // bytes after the 100 of page 1's header
	if (id+pgno)%3 == 0 {
		fill = len(p) - 100
	}
	x := uint64(id)<<32 | uint64(pgno)
	for off := 100; off+8 <= 100+fill && off+8 <= len(p); off += 8 {
		binary.BigEndian.PutUint64(p[off:], x)
		x = x*6364136223846793005 + 1442695040888963407
	}
	if pgno == 1 {
		copy(p, "SQLite format 3\x00")
		binary.BigEndian.PutUint16(p[page1.PageSize:], pageSize)
		p[page1.WriteVersion], p[page1.ReadVersion] = 1, 1
	}
	return p
}

// author is the commit that wrote a page, as the page says.
func author(p []byte) uint32 { return binary.BigEndian.Uint32(p[100:]) }

// begin notes a commit on top of parent before it is tried: it writes some pages, and the database has size pages then.
func (m *model) begin(parent *commit, size uint32, pgnos []uint32) *commit {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := &commit{id: uint32(len(m.commits)), parent: parent.id, image: make(image, size)}
	copy(c.image, parent.image)
	for _, pgno := range pgnos {
		if pgno <= size {
			c.image[pgno-1] = c.id
		}
	}
	m.commits = append(m.commits, c)
	return c
}

func (m *model) fail(c *commit) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c.failed = true
}

func (m *model) commitOf(id uint32) (*commit, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if id >= uint32(len(m.commits)) {
		return nil, fmt.Errorf("page 1 says commit %d, which nobody has made", id)
	}
	return m.commits[id], nil
}

func (m *model) head() index.TXID {
	m.mu.Lock()
	defer m.mu.Unlock()
	return index.TXID(len(m.moments) - 1)
}

// at is the transaction that is txid; ok is false when there is none.
func (m *model) at(txid index.TXID) (moment, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if txid >= index.TXID(len(m.moments)) {
		return moment{}, false
	}
	return m.moments[txid], true
}

// has reports whether a commit is c or one that c stands on.
func (m *model) has(c *commit, id uint32) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.hasLocked(c, id)
}

func (m *model) hasLocked(c *commit, id uint32) bool {
	for c.id > id { // parents are older
		c = m.commits[c.parent]
	}
	return c.id == id
}

// file is an LTX file as the format's own library reads it.
type file struct {
	header ltx.Header
	pages  map[uint32][]byte
}

func decode(data []byte) (*file, error) {
	dec := ltx.NewDecoder(bytes.NewReader(data))
	if err := dec.DecodeHeader(); err != nil {
		return nil, err
	}
	f := &file{header: dec.Header(), pages: map[uint32][]byte{}}
	for {
		var head ltx.PageHeader
		p := make([]byte, f.header.PageSize)
		if err := dec.DecodePage(&head, p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		f.pages[head.Pgno] = p
	}
	return f, dec.Close()
}

// put checks a new object of the bucket, and takes it in when it is a transaction.
func (m *model) put(level int, lo, hi index.TXID, data []byte) error {
	f, err := decode(data)
	if err != nil {
		return err
	}
	if f.header.MinTXID != lo || f.header.MaxTXID != hi || f.header.PageSize != pageSize {
		return fmt.Errorf("the header says %s-%s with pages of %d bytes", f.header.MinTXID, f.header.MaxTXID, f.header.PageSize)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if level == 0 {
		if err := m.landLocked(hi, f); err != nil {
			return err
		}
	}
	return m.checkFileLocked(lo, hi, f)
}

// landLocked takes in the next transaction: it must stand on the one before, and be one that somebody has committed.
func (m *model) landLocked(txid index.TXID, f *file) error {
	if next := index.TXID(len(m.moments)); txid != next {
		return fmt.Errorf("the next transaction is %s", next)
	}
	first, ok := f.pages[1]
	if !ok {
		return errors.New("it has no page 1, which every commit writes")
	}
	id := author(first)
	if id >= uint32(len(m.commits)) {
		return fmt.Errorf("page 1 says commit %d, which nobody has made", id)
	}
	c, before := m.commits[id], m.moments[txid-1]
	at := time.UnixMilli(f.header.Timestamp)
	switch {
	case c.failed:
		return fmt.Errorf("commit %d was said to have failed", id)
	case id == before.commit.id || !m.hasLocked(c, before.commit.id):
		return fmt.Errorf("commit %d does not stand on commit %d, which is txid %s: an update is lost", id, before.commit.id, txid-1)
	case at.Before(before.time):
		return fmt.Errorf("its time %s is before that of the transaction before it, %s", at, before.time)
	}
	m.moments = append(m.moments, moment{c, at})
	return nil
}

// checkFileLocked checks that a file brings the database at lo-1 to hi, whatever it holds beyond what is needed.
func (m *model) checkFileLocked(lo, hi index.TXID, f *file) error {
	if hi >= index.TXID(len(m.moments)) {
		return fmt.Errorf("it ends with %s, and the bucket with %d", hi, len(m.moments)-1)
	}
	before, after := m.moments[lo-1].commit.image, m.moments[hi].commit.image
	if f.header.Commit != uint32(len(after)) {
		return fmt.Errorf("it says a database of %d pages, want %d", f.header.Commit, len(after))
	}
	if at := m.moments[hi].time; f.header.Timestamp != at.UnixMilli() {
		return fmt.Errorf("its time is %s, want %s", time.UnixMilli(f.header.Timestamp), at)
	}
	for i, id := range after {
		pgno := uint32(i + 1)
		p, ok := f.pages[pgno]
		if !ok && (i >= len(before) || before[i] != id) {
			return fmt.Errorf("page %d is missing, which commit %d changed", pgno, id)
		}
		if ok && !bytes.Equal(p, page(id, pgno)) {
			return fmt.Errorf("page %d is commit %d's, want %d's", pgno, author(p), id)
		}
	}
	return nil
}

// compare returns what is wrong with a database that read reads.
func (m *model) compare(want image, read func(pgno uint32, dst []byte) error) error {
	got := make([]byte, pageSize)
	for i, id := range want {
		pgno := uint32(i + 1)
		if err := read(pgno, got); err != nil {
			return err
		}
		if !bytes.Equal(got, page(id, pgno)) {
			return &wrongError{fmt.Sprintf("page %d is commit %d's, want %d's", pgno, author(got), id)}
		}
	}
	return nil
}

// wrongError is what must never be: bytes that are not those of the model.
type wrongError struct{ text string }

func (e *wrongError) Error() string { return e.text }

func wrongf(format string, args ...any) error { return &wrongError{fmt.Sprintf(format, args...)} }

// sortedUnique orders page numbers.
func sortedUnique(pgnos []uint32) []uint32 {
	slices.Sort(pgnos)
	return slices.Compact(pgnos)
}
