package writer

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/litefs-s3/litefs-s3/internal/kills"
	"github.com/litefs-s3/litefs-s3/internal/page1"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/faultstore"
	"github.com/litefs-s3/litefs-s3/objstore/filestore"
)

// childEnv makes the test binary run child instead of the tests: bucket, log and durability, with | between them.
const childEnv = "WRITER_TEST_CHILD"

// child commits and uploads as fast as it can, and says so on standard output, until it is killed.
func child() {
	var d Durability
	args := strings.Split(os.Getenv(childEnv), "|")
	_, err := fmt.Sscan(args[2], (*int)(&d))
	if err == nil {
		err = commitForEver(args[0], args[1], d)
	}
	fmt.Println(err)
	os.Exit(1)
}

func commitForEver(bucket, path string, durability Durability) error {
	ctx := context.Background()
	store, err := filestore.Open(bucket)
	if err != nil {
		return err
	}
	troubled := faultstore.Wrap(store, func(_ context.Context, c faultstore.Call) faultstore.Action {
		a := faultstore.Action{Delay: time.Duration(rand.IntN(3000)) * time.Microsecond}
		if strings.HasSuffix(c.Key, ".ltx") && rand.IntN(6) == 0 {
			a.Mode = []faultstore.Mode{faultstore.Refuse, faultstore.LoseReply}[rand.IntN(2)]
		}
		return a
	})
	w, err := tryOpen(troubled, store, killOptions(path, durability))
	if err != nil {
		return err
	}
	go w.Run(ctx)
	for err = w.Acquire(ctx); errors.Is(err, objstore.ErrTemporary); err = w.Acquire(ctx) {
	}
	if err != nil {
		return err
	}
	h := new(history)
	if err := h.catchUp(store, w.Snapshot()); err != nil {
		return err
	}
	fmt.Println("open")
	for {
		if err := h.commit(w); err != nil {
			return err
		}
		fmt.Println(h.n)
		if durability == Memory {
			time.Sleep(200 * time.Microsecond) // or the oracle has too much to do
		}
	}
}

func killOptions(path string, d Durability) Options {
	return Options{Replica: "killed", LogPath: path, Durability: d, SyncInterval: 4 * time.Millisecond, segmentSize: 32 << 10}
}

// history is the database that the n-th commit makes, by rules that need no memory.
type history struct {
	n    uint32
	size uint32
	now  image
}

// next makes the n-th commit: which pages it writes, and the size after it.
func (h *history) next() (pages image, size uint32) {
	h.n++
	rng := rand.New(rand.NewPCG(uint64(h.n), 5))
	size = max(h.size, 3)
	switch rng.IntN(8) {
	case 0:
		size += rng.Uint32N(30)
	case 1:
		size = max(3, size-min(size, rng.Uint32N(40)))
	}
	pages = image{1: h.page(1)}
	for range rng.IntN(9) {
		pgno := 1 + rng.Uint32N(size)
		pages[pgno] = h.page(pgno)
	}
	if h.now == nil {
		h.now = image{}
	}
	for pgno := range h.now {
		if pgno > size {
			delete(h.now, pgno)
		}
	}
	for pgno := uint32(1); pgno <= size; pgno++ {
		if h.now[pgno] == nil {
			h.now[pgno] = make([]byte, testPageSize)
		}
		if pages[pgno] != nil {
			h.now[pgno] = pages[pgno]
		}
	}
	h.size = size
	return pages, size
}

// page is what the n-th commit writes. Page 1 says n.
func (h *history) page(pgno uint32) []byte {
	p := make([]byte, testPageSize)
	if pgno == 1 {
		copy(p, "SQLite format 3\x00")
		binary.BigEndian.PutUint16(p[page1.PageSize:], testPageSize)
		p[page1.WriteVersion], p[page1.ReadVersion] = 1, 1
	}
	for off := 100; off+8 <= len(p); off += 8 {
		binary.BigEndian.PutUint32(p[off:], h.n)
		binary.BigEndian.PutUint32(p[off+4:], pgno)
	}
	return p
}

// catchUp makes h the database that s should be.
func (h *history) catchUp(store objstore.Store, s *Snapshot) error {
	if s.Commit() == 0 {
		return nil
	}
	first, err := readPage(store, s, 1)
	if err != nil {
		return err
	}
	for n := binary.BigEndian.Uint32(first[100:]); h.n < n; {
		h.next()
	}
	return nil
}

func (h *history) commit(w *Writer) error {
	tx, err := w.Begin(context.Background(), w.Snapshot())
	if errors.Is(err, ErrLogFull) {
		time.Sleep(time.Millisecond)
		return nil
	}
	if err != nil {
		return err
	}
	pages, size := h.next()
	for pgno, p := range pages {
		if err := tx.WritePage(pgno, p); err != nil {
			return err
		}
	}
	_, err = tx.Commit(context.Background(), size)
	for errors.Is(err, ErrStoreDown) { // it stands in the log, but has not returned to anybody who waits for the bucket
		err = w.Sync(context.Background())
	}
	return err
}

// TestW1_Killed: a process that commits and uploads is killed, again and again. What it said it had committed is there, nothing
// is there in part, and the bucket has it once.
func TestW1_Killed(t *testing.T) {
	t.Parallel()
	n := kills.Count(t, 42)
	for _, durability := range []Durability{Local, Remote, Memory} {
		t.Run(durability.String(), func(t *testing.T) {
			t.Parallel()
			killed(t, durability, n)
		})
	}
}

func killed(t *testing.T, durability Durability, times int) {
	bucket, path := t.TempDir(), t.TempDir()
	store, err := filestore.Create(bucket, filestore.S3Like)
	must(t, err)
	h := new(history)
	committed, pendingAtKill := 0, 0
	for n := range times {
		said := killOne(t, bucket, path, durability)
		w, err := tryOpen(store, store, killOptions(path, durability))
		must(t, err)
		before := h.n
		pendingAtKill += w.Pending().Commits
		must(t, h.catchUp(store, w.Snapshot()))
		if h.n < said || said > 0 && h.n > said+1 {
			t.Fatalf("kill %d: commit %d had returned, the database is at %d", n, said, h.n)
		}
		checkSnapshot(t, store, w.Snapshot(), h.now, h.size)
		committed += int(h.n - before)
		if n%3 == 0 { // else the next child has to deal with it
			must(t, w.Acquire(t.Context()))
			must(t, w.Close(t.Context()))
			checkBucket(t, store, h.now, h.size)
			continue
		}
		must(t, w.letGo())
		if w.flight != nil {
			must(t, w.flight.drop())
		}
	}
	t.Logf("%d kills, %d commits, %d of them not in the bucket when it happened", times, committed, pendingAtKill)
	if committed < times || durability != Remote && pendingAtKill == 0 {
		t.Error("nothing was at stake")
	}
}

// killOne starts a child, kills it at a random moment, and returns the last commit that it said had returned.
func killOne(t *testing.T, bucket, path string, d Durability) (said uint32) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s|%s|%d", childEnv, bucket, path, d))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	in := bufio.NewReader(out)
	line, err := in.ReadString('\n')
	if line != "open\n" {
		_ = cmd.Process.Kill()
		t.Fatalf("child: %s %v", line, err)
	}
	time.AfterFunc(time.Duration(rand.IntN(80_000))*time.Microsecond, func() { _ = cmd.Process.Kill() })
	for {
		line, err := in.ReadString('\n')
		if err != nil { // what comes before it was not written to its end
			break
		}
		n, err := strconv.ParseUint(strings.TrimSpace(line), 10, 32)
		if err != nil {
			rest, _ := io.ReadAll(in)
			t.Fatalf("child: %s%s", line, rest)
		}
		said = uint32(n)
	}
	if _ = cmd.Wait(); cmd.ProcessState.Exited() {
		t.Fatalf("child ended by itself: %v", cmd.ProcessState)
	}
	return said
}
