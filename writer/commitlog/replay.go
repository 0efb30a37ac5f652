package commitlog

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/superfly/ltx"
)

// replayer reads the segments of a log, oldest first.
type replayer struct {
	segs []*segment

	first    begin // of the first segment
	policy   Policy
	id       uint64
	seq      uint64
	trimmed  uint64
	pageSize uint32
	base     Base
	seal     *Seal
	pending  []Recorded
	torn     int64
	readOnly bool
}

func (r *replayer) close() {
	for _, s := range r.segs {
		if s.file != nil {
			_ = s.file.Close()
		}
	}
}

// foreign reports whether the log has transactions of a replica with another name.
func (r *replayer) foreign(replica string) bool {
	return len(r.segs) > 0 && r.first.Replica != replica && len(r.pending) > 0
}

func (r *replayer) run() error {
	for i, s := range r.segs {
		if err := r.open(s); err != nil {
			return err
		}
		if err := r.segment(s, i == 0, i == len(r.segs)-1); err != nil {
			return err
		}
	}
	// A segment whose first record was never finished is one that a process died over before it held anything.
	if n := len(r.segs); n > 0 && r.segs[n-1].end == 0 {
		s := r.segs[n-1]
		if err := s.file.Close(); err != nil {
			return err
		}
		s.file = nil
		if !r.readOnly {
			if err := os.Remove(s.path); err != nil {
				return err
			}
		}
		r.segs, r.torn = r.segs[:n-1], 0
	}
	return r.check()
}

func (r *replayer) open(s *segment) error {
	mode := os.O_RDWR
	if r.readOnly {
		mode = os.O_RDONLY
	}
	var err error
	if s.file, err = os.OpenFile(s.path, mode, 0); err != nil {
		return err
	}
	info, err := s.file.Stat()
	if err != nil {
		return err
	}
	s.room = info.Size()
	return nil
}

func (r *replayer) dropConfirmed() {
	r.pending = slices.DeleteFunc(r.pending, func(p Recorded) bool { return p.Seq <= r.trimmed })
}

// check takes off what was confirmed, and makes sure that nothing is missing before the rest.
func (r *replayer) check() error {
	r.dropConfirmed()
	if r.seal != nil && r.seal.Seq <= r.trimmed {
		r.seal = nil
	}
	if len(r.pending) > 0 && r.pending[0].Seq != r.trimmed+1 {
		return &DamagedError{Path: r.pending[0].seg.path, Last: r.trimmed,
			Why: fmt.Sprintf("the next transaction is %d: what lies between them is missing", r.pending[0].Seq)}
	}
	return nil
}

// readAhead is how much is read at a time, in bytes.
const readAhead = 1 << 20

// segment reads one segment up to its end.
func (r *replayer) segment(s *segment, first, last bool) error {
	in := bufio.NewReaderSize(io.NewSectionReader(s.file, 0, s.room), int(min(s.room, readAhead)))
	for {
		err := r.record(s, in, first)
		if err == nil {
			continue
		}
		if !errors.Is(err, errRecord) {
			return err
		}
		break
	}
	s.last = r.seq
	if !last && s.end == 0 {
		return &DamagedError{Path: s.path, Last: r.seq, Why: "it does not begin as a segment does, and another one follows"}
	}
	return r.end(s, last)
}

// end looks at what lies behind the last good record: nothing, zeros, or what a crash left; but not more records.
func (r *replayer) end(s *segment, last bool) error {
	zeros, later, err := r.remains(s)
	switch {
	case err != nil:
		return err
	case zeros:
		return nil
	case r.policy == EveryCommit && (later || !last):
		return &DamagedError{Path: s.path, Off: s.end, Last: r.seq, Why: "good records follow a bad one, so it is not the torn end of the log"}
	case last:
		r.torn = s.room - s.end
	}
	return nil
}

// remains says whether everything behind the end is zero, and whether a later record of this log is in it.
func (r *replayer) remains(s *segment) (zeros, later bool, err error) {
	var m [4]byte
	binary.BigEndian.PutUint32(m[:], magic)
	zeros = true
	buf := make([]byte, min(s.room-s.end, readAhead))
	for off := s.end; off < s.room; {
		n, err := s.file.ReadAt(buf[:min(int64(len(buf)), s.room-off)], off)
		if err != nil && !errors.Is(err, io.EOF) {
			return false, false, fmt.Errorf("%s: %w", s.path, err)
		}
		b := buf[:n]
		zeros = zeros && len(bytes.Trim(b, "\x00")) == 0
		for at := 0; ; at++ {
			i := bytes.Index(b[at:], m[:])
			if i < 0 {
				break
			}
			at += i
			if h, ok := decodeHead(b[at:]); ok && off+int64(at) > s.end && r.follows(h) {
				return false, true, nil
			}
		}
		if n <= headerSize {
			break
		}
		off += int64(n)
		if off < s.room {
			off -= headerSize - 1 // a header may lie across
		}
	}
	return zeros, false, nil
}

// follows reports whether a header behind the first bad record belongs to one that was written after those read.
func (r *replayer) follows(h head) bool {
	return h.kind != kindBegin && (r.id == 0 || h.log == r.id && h.seq > r.seq)
}

// record reads the next record. errRecord: what comes is none.
func (r *replayer) record(s *segment, in *bufio.Reader, first bool) error {
	top, err := in.Peek(headerSize)
	if err != nil {
		return errRecord
	}
	h, ok := decodeHead(top)
	room := s.room - s.end - headerSize - sumSize
	if !ok || h.chain != s.chain || h.body > room {
		return errRecord
	}
	started := s.end > 0
	if started != (h.kind != kindBegin) || h.log != r.id && !(first && !started) {
		return errRecord
	}
	if h.kind == kindTx {
		return r.transaction(s, in, h)
	}
	if h.body > maxMeta {
		return errRecord
	}
	b := make([]byte, headerSize+h.body+sumSize)
	if _, err := io.ReadFull(in, b); err != nil {
		return errRecord
	}
	body, want := b[headerSize:headerSize+h.body], binary.BigEndian.Uint32(b[headerSize+h.body:])
	if sum(b[:headerSize+h.body]) != want {
		return errRecord
	}
	if err := r.meta(s, h, body, first); err != nil {
		return fmt.Errorf("%s at byte %d: %w", s.path, s.end, err)
	}
	s.chain = want
	s.end += int64(len(b))
	return nil
}

// meta takes in a record that is not a transaction.
func (r *replayer) meta(s *segment, h head, body []byte, first bool) error {
	switch h.kind {
	case kindBegin:
		return r.begin(s, h, body, first)
	case kindSeal:
		seal := new(Seal)
		if err := json.Unmarshal(body, seal); err != nil {
			return err
		}
		r.seal = seal
	case kindConfirm:
		var c confirm
		if err := json.Unmarshal(body, &c); err != nil {
			return err
		}
		r.base, r.trimmed = c.Base, max(r.trimmed, c.Seq)
	}
	return nil
}

func (r *replayer) begin(s *segment, h head, body []byte, first bool) error {
	var b begin
	if err := json.Unmarshal(body, &b); err != nil {
		return err
	}
	if b.Format != format {
		return fmt.Errorf("format %d is not %d, the one this version reads; open it with the version that wrote it", b.Format, format)
	}
	if !first && h.seq != r.seq {
		return &DamagedError{Path: s.path, Last: r.seq, Why: fmt.Sprintf("it goes on after transaction %d: what lies between them is missing", h.seq)}
	}
	if first {
		r.first, r.id, r.seq = b, h.log, h.seq
	}
	r.policy = b.Policy
	r.base, r.trimmed, r.pageSize, r.seal = b.Base, b.Trimmed, b.PageSize, b.Seal
	return nil
}

// transaction reads a transaction and checks every page of it.
func (r *replayer) transaction(s *segment, in *bufio.Reader, h head) error {
	top := make([]byte, headerSize+txHeadSize)
	if h.body < txHeadSize || h.seq != r.seq+1 {
		return errRecord
	}
	if _, err := io.ReadFull(in, top); err != nil {
		return errRecord
	}
	t := decodeTxHead(top[headerSize:])
	if !t.valid(h.body) || r.pageSize != 0 && t.pageSize != r.pageSize {
		return errRecord
	}
	rec := Recorded{Tx: &Tx{Seq: h.seq, Commit: t.commit, PageSize: t.pageSize, Pages: int(t.pages), seg: s, off: s.end + headerSize + txHeadSize}}
	sums, err := io.ReadAll(io.NewSectionReader(s.file, rec.off+int64(t.pages)*int64(t.pageSize), int64(t.pages)*entrySize+sumSize))
	if err != nil || len(sums) != int(t.pages)*entrySize+sumSize {
		return errRecord
	}
	chain := update(sum(top), sums[:len(sums)-sumSize])
	if chain != binary.BigEndian.Uint32(sums[len(sums)-sumSize:]) {
		return errRecord
	}
	if err := rec.readEntries(in, sums); err != nil {
		return err
	}
	if _, err := in.Discard(len(sums)); err != nil {
		return errRecord
	}
	s.end += rec.Bytes()
	r.seq, s.chain, r.pageSize = rec.Seq, chain, t.pageSize
	r.pending = append(r.pending, rec)
	return nil
}

// readEntries decodes the entries and compares each with its page.
func (r *Recorded) readEntries(in io.Reader, sums []byte) error {
	r.Entries = make([]Entry, 0, r.Pages)
	page := make([]byte, r.PageSize)
	last := uint32(0)
	for i := range r.Pages {
		b := sums[i*entrySize:]
		e := Entry{Pgno: binary.BigEndian.Uint32(b), Sum: binary.BigEndian.Uint32(b[4:])}
		if e.Pgno <= last || e.Pgno > r.Commit || e.Pgno == ltx.LockPgno(r.PageSize) {
			return errRecord
		}
		if _, err := io.ReadFull(in, page); err != nil || pageSum(e.Pgno, page) != e.Sum {
			return errRecord
		}
		r.Entries = append(r.Entries, e)
		last = e.Pgno
	}
	return nil
}
