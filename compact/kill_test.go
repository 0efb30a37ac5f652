package compact

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/internal/kills"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/faultstore"
	"github.com/litefs-s3/litefs-s3/objstore/filestore"
)

const (
	victimEnv = "LITEFS_S3_COMPACT_VICTIM" // the directory of a replica: the test binary compacts it and ends
	timeEnv   = "LITEFS_S3_COMPACT_NOW"
	callsEnv  = "LITEFS_S3_COMPACT_CALLS" // the process kills itself within this call to the store
)

// victim is what the child process does.
func victim() {
	now, err := time.Parse(time.RFC3339Nano, os.Getenv(timeEnv))
	if err != nil {
		panic(err)
	}
	var calls int64
	if _, err := fmt.Sscan(os.Getenv(callsEnv), &calls); err != nil {
		panic(err)
	}
	dir, err := filestore.Open(os.Getenv(victimEnv))
	if err != nil {
		panic(err)
	}
	store := faultstore.Wrap(dir, func(_ context.Context, c faultstore.Call) faultstore.Action {
		if c.N == calls {
			go func() { // in the middle of whatever the call does
				time.Sleep(time.Duration(c.N%5) * 100 * time.Microsecond)
				p, _ := os.FindProcess(os.Getpid())
				_ = p.Kill()
			}()
		}
		return faultstore.Action{}
	})
	c, err := New(store, Options{Now: func() time.Time { return now }, TempDir: os.Getenv(victimEnv) + "-tmp"})
	if err != nil {
		panic(err)
	}
	if _, err := c.Once(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// C4: a compactor killed by the system at one moment or another over a directory: all that could be opened still can be, the next
// run finishes, and no temporary file is left.
func TestC4_KilledProcess(t *testing.T) {
	t.Parallel()
	wanted := kills.Count(t, 24)
	killed := 0
	for round := uint64(0); killed < wanted && !t.Failed(); round++ {
		killed += killRound(t, 21+round, wanted-killed)
	}
	t.Logf("%d kills", killed)
}

// killRound kills compactors of one replica at calls spread over a whole run, at most so many times, and returns how often that was.
func killRound(t *testing.T, seed uint64, most int) (killed int) {
	t.Helper()
	w := newWorld(t, seed)
	w.live(3*time.Minute, 4*time.Second)
	w.once()
	w.live(2*time.Minute, 4*time.Second)
	w.now = w.now.Add(8 * time.Minute)
	const step = 5
	for n := int64(seed % step); killed < most; n += max(step, 110/int64(most)) {
		dir := t.TempDir() + "/replica"
		must(t, os.Mkdir(dir+"-tmp", 0o700))
		store := directory(t, dir, w)
		before := index.NewChains(filesOf(t, store)).TXIDs()
		if !killAt(t, n, dir, w.now) {
			break
		}
		killed++
		checkDirectory(t, store, w, before)
		r, err := newCompactor(t, store, w.options()).Once(t.Context())
		must(t, err)
		if len(r.Made) == 0 && n < 10 || r.Deferred != "" {
			t.Errorf("call %d: the next run did %+v", n, r)
		}
		checkDirectory(t, store, w, nil)
		checkLeft(t, dir+"-tmp")
	}
	return killed
}

// killAt lets a process compact a directory that dies within its n-th call to the store. It is false when there were not so many.
func killAt(t *testing.T, n int64, dir string, now time.Time) bool {
	t.Helper()
	exe, err := os.Executable()
	must(t, err)
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), victimEnv+"="+dir, timeEnv+"="+now.Format(time.RFC3339Nano), callsEnv+"="+fmt.Sprint(n))
	out, err := cmd.CombinedOutput()
	if err != nil && len(out) > 0 {
		t.Fatalf("call %d: %v: %s", n, err, out)
	}
	return err != nil
}

// checkLeft looks at what a killed process has left of its temporary files: they have no name from the moment they hold a byte.
func checkLeft(t testing.TB, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	must(t, err)
	for _, entry := range left {
		info, err := entry.Info()
		must(t, err)
		if info.Size() > 0 && runtime.GOOS != "windows" {
			t.Errorf("left behind: %s of %d bytes", entry.Name(), info.Size())
		}
	}
}

// directory is a copy of the bucket in a directory.
func directory(t testing.TB, dir string, w *world) objstore.Store {
	t.Helper()
	store, err := filestore.Create(dir, filestore.S3Like)
	must(t, err)
	for _, o := range w.store.Objects() {
		_, err := store.Put(t.Context(), o.Key, bytes.NewReader(o.Data), objstore.PutOptions{Timestamp: o.Timestamp})
		must(t, err)
	}
	return store
}

// checkDirectory restores the newest state and some others.
func checkDirectory(t testing.TB, store objstore.Store, w *world, before []index.TXID) {
	t.Helper()
	chains := index.NewChains(filesOf(t, store))
	if chains.Head() != w.p.TXID || chains.Gap() != nil {
		t.Fatalf("head is %s, %v", chains.Head(), chains.Gap())
	}
	txids := chains.TXIDs()
	for i := len(txids) - 1; i >= 0; i -= 13 {
		image, err := restore(store, chains, txids[i])
		if err != nil || !bytes.Equal(image, w.p.Image(txids[i])) {
			t.Fatalf("txid %s: %v", txids[i], err)
		}
		if before != nil && !slices.Contains(before, txids[i]) {
			t.Errorf("txid %s could not be opened before", txids[i])
		}
	}
}
