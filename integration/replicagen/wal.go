package replicagen

import (
	"encoding/binary"
	"fmt"
	"os"

	"github.com/superfly/ltx"
)

const (
	walHeaderSize      = 32 // bytes
	walFrameHeaderSize = 24 // bytes
)

// delta is what one transaction changed, or several in a row.
type delta struct {
	txns      int
	pages     map[uint32][]byte // newest content by page number
	commit    uint32            // pages in the database afterwards
	walOffset int64             // bytes from the start of the WAL to the first frame
	walSize   int64             // bytes of frames
	salt1     uint32
	salt2     uint32
}

// add puts a later transaction on top of d.
func (d *delta) add(later delta) {
	if d.txns == 0 {
		d.pages = make(map[uint32][]byte)
		d.walOffset, d.salt1, d.salt2 = later.walOffset, later.salt1, later.salt2
	}
	for pgno, page := range later.pages {
		d.pages[pgno] = page
	}
	d.txns += later.txns
	d.commit = later.commit
	d.walSize += later.walSize
}

// checkGrowth refuses a transaction that grew the database without writing all its new pages: no chain can hold it.
func (d *delta) checkGrowth(before, pageSize uint32) error {
	for pgno := before + 1; pgno <= d.commit; pgno++ {
		if _, ok := d.pages[pgno]; !ok && pgno != ltx.LockPgno(pageSize) {
			return fmt.Errorf("the database grew to %d pages and page %d is not in the WAL", d.commit, pgno)
		}
	}
	return nil
}

// walTail reads what was added to a WAL since it was last asked. Nobody else may write while it reads, so every frame
// with the right salts is whole; checksums are not looked at.
type walTail struct {
	path     string
	pageSize uint32
	salts    [8]byte
	off      int64 // of the first frame not read yet
}

func (w *walTail) frameSize() int64 { return walFrameHeaderSize + int64(w.pageSize) }

// next returns the pages of all frames since the last call as one transaction. A WAL that started over is read from
// its beginning.
func (w *walTail) next() (delta, error) {
	f, err := os.Open(w.path)
	if err != nil {
		return delta{}, err
	}
	defer f.Close()
	var header [walHeaderSize]byte
	if _, err := f.ReadAt(header[:], 0); err != nil {
		return delta{}, fmt.Errorf("WAL header: %w", err)
	}
	if salts := [8]byte(header[16:24]); salts != w.salts {
		w.pageSize, w.salts, w.off = binary.BigEndian.Uint32(header[8:]), salts, walHeaderSize
	}
	info, err := f.Stat()
	if err != nil {
		return delta{}, err
	}
	frames := make([]byte, info.Size()-w.off)
	if _, err := f.ReadAt(frames, w.off); err != nil {
		return delta{}, fmt.Errorf("WAL from byte %d: %w", w.off, err)
	}
	return w.parse(frames)
}

// parse turns frames that begin at w.off into a transaction and moves w.off behind them.
func (w *walTail) parse(frames []byte) (delta, error) {
	d := delta{
		txns: 1, pages: make(map[uint32][]byte), walOffset: w.off,
		salt1: binary.BigEndian.Uint32(w.salts[:]), salt2: binary.BigEndian.Uint32(w.salts[4:]),
	}
	for size := int(w.frameSize()); len(frames) >= size; frames = frames[size:] {
		if [8]byte(frames[8:16]) != w.salts {
			break // left over from before the WAL started over
		}
		d.pages[binary.BigEndian.Uint32(frames)] = frames[walFrameHeaderSize:size]
		d.commit = binary.BigEndian.Uint32(frames[4:])
		w.off += w.frameSize()
	}
	d.walSize = w.off - d.walOffset
	if d.commit == 0 {
		return delta{}, fmt.Errorf("no committed transaction in the WAL from byte %d", d.walOffset)
	}
	return d, nil
}
