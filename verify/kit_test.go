package verify

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc64"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/pierrec/lz4/v4"
	"github.com/superfly/ltx"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/integration/primary"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if left := leftBehind(); left != "" && code == 0 {
		fmt.Fprintf(os.Stderr, "still running after all tests:\n%s\n", left)
		code = 1
	}
	os.Exit(code)
}

// leftBehind returns the goroutines of this package that still run, once they have had time to end.
func leftBehind() (left string) {
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		left = ""
		stacks := make([]byte, 4<<20)
		for _, stack := range strings.Split(string(stacks[:runtime.Stack(stacks, true)]), "\n\n")[1:] {
			if strings.Contains(stack, "litefs-s3/verify.") {
				left += stack + "\n\n"
			}
		}
		if left == "" || time.Now().After(deadline) {
			return left
		}
	}
}

// newReplica returns a primary with a table of a few hundred rows at TXID 1.
func newReplica(t testing.TB, store objstore.Store) *primary.Primary {
	p := primary.New(t, store, primary.Options{PageSize: 1024})
	p.Exec(`CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)`)
	p.Exec(`CREATE INDEX tv ON t(v)`)
	insert(p, 200)
	p.Sync()
	return p
}

func insert(p *primary.Primary, n int) {
	p.Exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<?)
		INSERT INTO t(v) SELECT hex(randomblob(50)) FROM n`, n)
}

func update(p *primary.Primary, n int) ltx.TXID {
	p.Exec(`UPDATE t SET v=hex(randomblob(50)) WHERE id IN (SELECT id FROM t ORDER BY random() LIMIT ?)`, n)
	return p.Sync()
}

// frame is one page of a file made by hand.
type frame struct {
	pgno  uint32
	data  []byte
	index uint32 // what the index calls it; 0 is pgno
}

// byHand encodes a file that the library refuses to encode; its checksum is right.
func byHand(h ltx.Header, frames ...frame) []byte {
	var out bytes.Buffer
	sum := crc64.New(crc64.MakeTable(crc64.ISO))
	header, _ := h.MarshalBinary()
	out.Write(header)
	sum.Write(header)
	var records []byte
	for _, f := range frames {
		block := make([]byte, lz4.CompressBlockBound(len(f.data)))
		n, err := lz4.CompressBlock(f.data, block, nil)
		if err != nil || n == 0 { // it does not compress: literals alone
			n = copy(block, literals(f.data))
		}
		head := binary.BigEndian.AppendUint32(nil, f.pgno)
		head = binary.BigEndian.AppendUint16(head, ltx.PageHeaderFlagSize)
		head = binary.BigEndian.AppendUint32(head, uint32(n))
		off := out.Len()
		out.Write(head)
		out.Write(block[:n])
		sum.Write(head)
		sum.Write(f.data)
		name := f.index
		if name == 0 {
			name = f.pgno
		}
		records = binary.AppendUvarint(records, uint64(name))
		records = binary.AppendUvarint(records, uint64(off))
		records = binary.AppendUvarint(records, uint64(out.Len()-off))
	}
	end := append(make([]byte, ltx.PageHeaderSize), append(records, 0)...)
	end = binary.BigEndian.AppendUint64(end, uint64(len(records)+1))
	end = binary.BigEndian.AppendUint64(end, 0) // no checksum of the database
	out.Write(end)
	sum.Write(end)
	_ = binary.Write(&out, binary.BigEndian, uint64(ltx.ChecksumFlag)|sum.Sum64())
	return out.Bytes()
}

// literals is an LZ4 block that copies b.
func literals(b []byte) []byte {
	out := []byte{0xf0}
	n := len(b) - 15
	for ; n >= 255; n -= 255 {
		out = append(out, 255)
	}
	return append(append(out, byte(n)), b...)
}

func header(lo, hi ltx.TXID, commit uint32) ltx.Header {
	return ltx.Header{
		Version: ltx.Version, Flags: ltx.HeaderFlagNoChecksum, PageSize: 512, Commit: commit, MinTXID: lo, MaxTXID: hi,
		Timestamp: 1000 * int64(hi), WALOffset: 32,
	}
}

// pages returns frames of the given pages.
func pages(pgnos ...uint32) (frames []frame) {
	for _, pgno := range pgnos {
		frames = append(frames, frame{pgno: pgno, data: bytes.Repeat([]byte{byte(pgno), byte(pgno >> 8), 1, 2}, 128)})
	}
	return frames
}

func put(t testing.TB, store objstore.Store, level int, lo, hi ltx.TXID, data []byte) string {
	t.Helper()
	f := index.File{Level: level, Min: lo, Max: hi}
	_, err := store.Put(context.Background(), f.Key(), bytes.NewReader(data), objstore.PutOptions{})
	must(t, err)
	return f.Key()
}

// good checks that the report finds nothing.
func good(t testing.TB, r *Report) {
	t.Helper()
	if r.Outcome != Good || len(r.Problems) > 0 {
		t.Fatalf("outcome %q: %v", r.Outcome, r.Problems)
	}
}

// bad checks that the report says so of the file, in words that have want in them.
func bad(t testing.TB, r *Report, key, want string) {
	t.Helper()
	if r.Outcome != Bad {
		t.Errorf("outcome %q, want %q", r.Outcome, Bad)
	}
	for _, p := range r.Problems {
		if p.Key == key && strings.Contains(p.Text, want) {
			return
		}
	}
	t.Errorf("no problem of %q says %q: %v", key, want, r.Problems)
}

func newMem() *memstore.Store { return new(memstore.Store) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
