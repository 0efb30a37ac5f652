package restore

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/litefs-s3/litefs-s3/bulk"
	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/internal/kills"
	"github.com/litefs-s3/litefs-s3/objstore/filestore"
)

// childEnv makes the test binary run child instead of the tests: what to do, bucket, path, and the step at which to die, with a |
// between them.
const childEnv = "RESTORE_TEST_CHILD"

// child restores or follows until it is killed, or kills itself at a step.
func child() {
	args := strings.Split(os.Getenv(childEnv), "|")
	step, err := strconv.Atoi(args[3])
	if err == nil {
		err = runChild(args[0], args[1], args[2], dieAt(step))
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// dieAt kills the process at the n-th step from 1, without any warning; 0 is never.
func dieAt(n int) faults {
	steps := 0
	return func(string) error {
		if steps++; steps == n {
			self, _ := os.FindProcess(os.Getpid())
			_ = self.Kill()
			select {}
		}
		return nil
	}
}

func runChild(what, bucket, path string, f faults) error {
	store, err := filestore.Open(bucket)
	if err != nil {
		return err
	}
	tr, err := index.Open(context.Background(), store, index.Options{PollInterval: -1})
	if err != nil {
		return err
	}
	src := bulk.Source{Store: store, Mover: tr}
	fmt.Println("open")
	if what == "restore" {
		for {
			if _, err := File(context.Background(), src, tr.View(), path, Options{Existing: Replace, faults: f}); err != nil {
				return err
			}
		}
	}
	return Follow(context.Background(), src, tr, path, FollowOptions{
		PollInterval: time.Millisecond, faults: f,
		OnUpdate: func(u Update) { fmt.Println("at", u.TXID) },
	})
}

// withChild runs do while another process restores or follows. Then that process is killed, if it has not ended by itself. said gets what it
// prints, line by line; do may wait for it.
func withChild(t testing.TB, what, bucket, path string, step int, do func(said *bufio.Reader)) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+strings.Join([]string{what, bucket, path, strconv.Itoa(step)}, "|"))
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	said := bufio.NewReader(out)
	if line, _ := said.ReadString('\n'); line != "open\n" {
		t.Fatalf("child: %s", line)
	}
	do(said)
}

// C6: a restore that is killed at any step, or at any instant, leaves the target absent or complete; the next one works and leaves
// nothing beside it.
func TestC6_KilledRestore(t *testing.T) {
	t.Parallel()
	bucket := t.TempDir()
	store, err := filestore.Create(bucket, filestore.S3Like)
	must(t, err)
	r := newReplica(t, store, small)
	image := r.primary.Image(r.primary.TXID)
	path := newTarget(t)
	absent, complete := 0, 0
	for n := range max(kills.Count(t, 40), 30) { // the first 20 are at certain steps, the others at any instant
		step := n
		if n > 20 {
			step = 0
		}
		withChild(t, "restore", bucket, path, step, func(said *bufio.Reader) {
			if step > 0 {
				_, _ = io.Copy(io.Discard, said) // until it is dead
			} else {
				time.Sleep(time.Duration(r.rnd.IntN(30_000)) * time.Microsecond)
			}
		})
		b, err := os.ReadFile(path)
		switch {
		case errors.Is(err, os.ErrNotExist):
			absent++
		case err == nil && bytes.Equal(b, image):
			complete++
		default:
			t.Fatalf("after step %d the target is half a database of %d bytes, %v", step, len(b), err)
		}
		if n%4 == 0 {
			must(t, remove(path))
		}
	}
	if absent == 0 || complete == 0 {
		t.Errorf("%d times absent, %d times complete: the test tests half", absent, complete)
	}
	tr := open(t, store)
	_, err = File(t.Context(), bulk.Source{Store: store, Mover: tr}, tr.View(), path, Options{Existing: Replace})
	must(t, err)
	same(t, path, image, false)
	alone(t, filepath.Dir(path), "app.db")
}

// A follower that is killed at any step of its second update leaves a file that is sound to SQLite at once, at the moment before or
// after; and Follow goes on from there.
func TestFollow_KilledAtEveryStep(t *testing.T) {
	t.Parallel()
	bucket := t.TempDir()
	store, err := filestore.Create(bucket, filestore.S3Like)
	must(t, err)
	r := newReplica(t, store, small)
	hot := 0
	for step := 1; ; step++ {
		path := newTarget(t)
		from, lived := r.primary.TXID, false
		withChild(t, "follow", bucket, path, 0, func(said *bufio.Reader) { waitFor(t, said, from) }) // made, with no step that kills
		r.update(3)
		if step%3 == 0 {
			r.primary.Exec(`DELETE FROM t WHERE id%5=?`, r.rnd.IntN(5))
			r.primary.Exec(`VACUUM`)
		}
		to := r.primary.Sync()
		withChild(t, "follow", bucket, path, step, func(said *bufio.Reader) {
			line := ""
			for err := error(nil); err == nil && !lived; {
				line, err = said.ReadString('\n')
				lived = line == fmt.Sprintln("at", to)
			}
		})
		if _, err := os.Stat(path + journalSuffix); err == nil {
			hot++
		}
		if step%2 == 0 {
			sound(t, path) // SQLite rolls back what has to be
			checkMoment(t, r, path, from, to)
		}
		followTo(t, r, path, to)
		same(t, path, r.primary.Image(to), true)
		sound(t, path)
		if lived {
			break
		}
	}
	if hot < 3 {
		t.Errorf("%d journals were left: the test tests nothing", hot)
	}
}

// A follower that is killed at random instants, while the writer and the compactor go on, is sound to SQLite, and right after the next start.
func TestFollow_KilledAtRandom(t *testing.T) {
	t.Parallel()
	bucket := t.TempDir()
	store, err := filestore.Create(bucket, filestore.S3Like)
	must(t, err)
	r := newReplica(t, store, small)
	path := newTarget(t)
	hot := 0
	for n := range kills.Count(t, 40) {
		withChild(t, "follow", bucket, path, 0, func(said *bufio.Reader) {
			go func() { _, _ = io.Copy(io.Discard, said) }()
			for deadline := time.Now().Add(time.Duration(r.rnd.IntN(60_000)) * time.Microsecond); time.Now().Before(deadline); {
				r.commit()
				time.Sleep(time.Duration(r.rnd.IntN(3000)) * time.Microsecond)
			}
		})
		if _, err := os.Stat(path + journalSuffix); err == nil {
			hot++
		}
		if r.rnd.IntN(3) == 0 {
			r.merge()
		}
		if _, err := os.Stat(path); err == nil && n%2 == 0 {
			sound(t, path)
			checkMoment(t, r, path, 1, r.primary.TXID)
		}
		if n%5 == 4 {
			followTo(t, r, path, r.primary.TXID)
			same(t, path, r.primary.Image(r.primary.TXID), true)
		}
	}
	t.Logf("%d journals were left, head %s", hot, r.primary.TXID)
}

// waitFor reads what a child prints until it is at txid.
func waitFor(t testing.TB, said *bufio.Reader, txid index.TXID) {
	t.Helper()
	for {
		line, err := said.ReadString('\n')
		if err != nil {
			t.Fatalf("child ended: %v", err)
		}
		if line == fmt.Sprintln("at", txid) {
			return
		}
	}
}

// checkMoment checks that the file is the database at one of the moments from lo to hi.
func checkMoment(t testing.TB, r *replica, path string, lo, hi index.TXID) {
	t.Helper()
	got, err := os.ReadFile(path)
	must(t, err)
	for txid := hi; txid >= lo; txid-- {
		if bytes.Equal(plainOf(got), plainOf(r.primary.Image(txid))) {
			return
		}
	}
	t.Fatalf("the file of %d bytes is the database at no moment from %s to %s", len(got), lo, hi)
}

// plainOf is a database without what Follow changes in page 1.
func plainOf(image []byte) []byte {
	b := bytes.Clone(image)
	clear(b[18:20])
	clear(b[24:32])
	clear(b[92:96])
	return b
}
