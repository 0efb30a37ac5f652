package restore

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// FuzzJournal: whatever lies beside a database as its journal, what is rolled back is what a journal of ours says: nothing behind the size that
// it names, and the database has that size. One that is damaged, or somebody else's, is an error.
func FuzzJournal(f *testing.F) {
	dir := f.TempDir()
	database := bytes.Repeat([]byte{7}, 4*512)
	name := filepath.Join(dir, "db")
	db, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		f.Fatal(err)
	}
	defer db.Close()
	if _, err := db.WriteAt(database, 0); err != nil {
		f.Fatal(err)
	}
	if err := writeJournal(db, name+journalSuffix, 4, 512, []uint32{1, 3}); err != nil {
		f.Fatal(err)
	}
	whole, err := os.ReadFile(name + journalSuffix)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:700])
	f.Add(whole[:512])
	f.Add([]byte{0})
	f.Add(bytes.Repeat([]byte{0xd9}, 512))
	f.Fuzz(func(t *testing.T, journal []byte) {
		h, herr := journalHeader{}, errNoJournal
		if len(journal) >= journalSector {
			h, herr = decodeJournalHeader(journal[:journalSector])
		}
		if herr == nil && int64(h.commit)*int64(h.pageSize) > 1<<20 {
			return // a sparse file of that size is made, which is right, and slow
		}
		err := playBack(db, bytes.NewReader(journal))
		switch size := fileSize(t, db); {
		case herr != nil && !errors.Is(err, herr) && !errors.Is(err, ErrNotOurs):
			t.Fatalf("got %v, want %v", err, herr)
		case err == nil && size != int64(h.commit)*int64(h.pageSize):
			t.Fatalf("the database has %d bytes after a journal of %d pages of %d", size, h.commit, h.pageSize)
		case herr == nil && size > max(int64(len(database)), int64(h.commit)*int64(h.pageSize)):
			t.Fatalf("the database has grown to %d bytes", size)
		}
		if err := db.Truncate(int64(len(database))); err != nil {
			t.Fatal(err)
		}
	})
}

func fileSize(t *testing.T, f *os.File) int64 {
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// FuzzState: whatever the state file of a followed database says, it is refused, or names moments, of which at most that one is found that has the
// counter and size of the file.
func FuzzState(f *testing.F) {
	whole, err := json.Marshal(state{Format: stateFormat, PageSize: 4096, Moments: []moment{{7, 8, 9}, {8, 9, 9}}, Files: []fileTag{{"0009/x", 131, "e"}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole, uint32(8), int64(9*4096))
	f.Add([]byte(`{"format":1,"page_size":4294967295,"moments":[{"commit":4294967295}]}`), uint32(0), int64(-1))
	f.Add([]byte(`{"format":1,"moments":[]}`), uint32(0), int64(0))
	f.Add([]byte(`null`), uint32(0), int64(0))
	path := filepath.Join(f.TempDir(), "db")
	f.Fuzz(func(t *testing.T, data []byte, counter uint32, size int64) {
		if err := os.WriteFile(path+stateSuffix, data, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := readState(path)
		if err != nil {
			if !errors.Is(err, ErrNotOurs) || errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		if m, ok := s.of(counter, size); ok && (m.Counter != counter || size != int64(m.Commit)*int64(s.PageSize)) {
			t.Fatalf("%+v is not what has counter %d and %d bytes", m, counter, size)
		}
	})
}
