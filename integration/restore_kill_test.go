package integration

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/bulk"
	"github.com/litefs-s3/litefs-s3/compact"
	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/integration/primary"
	"github.com/litefs-s3/litefs-s3/integration/servers"
	"github.com/litefs-s3/litefs-s3/internal/kills"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/restore"
)

// restoreChild makes the test binary restore a replica again and again, and followChild makes it keep a file up to date, to be killed or
// stopped while they do: a URL and a path, with a space between them.
const (
	restoreChild = "INTEGRATION_RESTORE_CHILD"
	followChild  = "INTEGRATION_FOLLOW_CHILD"
)

// restoreForEver says which TXID it has restored, each time.
func restoreForEver(job string) error {
	url, path, _ := strings.Cut(job, " ")
	store, tracker, err := trackReplica(url)
	if err != nil {
		return err
	}
	newer := func(ctx context.Context) (*index.View, error) { return tracker.View(), tracker.Refresh(ctx) }
	fmt.Println("begins")
	for {
		v, err := newer(context.Background())
		if err != nil {
			return err
		}
		src := bulk.Source{Store: store, Mover: tracker}
		r, err := restore.File(context.Background(), src, v, path, restore.Options{Existing: restore.Replace, Newer: newer})
		if err != nil {
			return err
		}
		fmt.Println(r.TXID)
	}
}

// followForEver says which TXID its file is at.
func followForEver(job string) error {
	url, path, _ := strings.Cut(job, " ")
	store, tracker, err := trackReplica(url)
	if err != nil {
		return err
	}
	fmt.Println("begins")
	return restore.Follow(context.Background(), bulk.Source{Store: store, Mover: tracker}, tracker, path, restore.FollowOptions{
		PollInterval: 20 * time.Millisecond, OnUpdate: func(u restore.Update) { fmt.Println(u.TXID) },
	})
}

func trackReplica(url string) (objstore.Store, *index.Tracker, error) {
	store, _, err := litefss3.OpenStore(context.Background(), litefss3.Config{ReplicaURL: url})
	if err != nil {
		return nil, nil, err
	}
	tracker, err := index.Open(context.Background(), store, index.Options{PollInterval: -1})
	return store, tracker, err
}

// TestC6_KilledRestores kills and stops processes that restore and that follow, while a writer commits and a compactor merges and removes
// files. What a killed one leaves is one moment of the database, and no earlier one than before; the next one goes on, and leaves nothing behind.
func TestC6_KilledRestores(t *testing.T) {
	t.Parallel()
	minio := servers.StartMinIO(t)
	setEnv(t, minio)
	url := minio.URL(minio.Bucket(t), "apps/restores-killed")
	c := writerConfig(url, filepath.Join(t.TempDir(), "log"))
	c.Compaction, c.LeaseTTL = litefss3.CompactionOff, 30*time.Second
	db, err := litefss3.OpenDB(c)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	source := newBank(t, db)
	execute(t, db, "PRAGMA litestream_sync")
	compactor, err := compact.New(openReplica(t, url), soakLevels)
	if err != nil {
		t.Fatal(err)
	}

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var world, victims sync.WaitGroup
	world.Go(func() { compactor.Watch(ctx) })
	world.Go(func() { keepWriting(ctx, t, source) })
	wanted := kills.Count(t, 8)
	files := []*killedFile{
		{t: t, child: restoreChild, url: url, path: filepath.Join(t.TempDir(), "restored.db")},
		{t: t, child: followChild, url: url, path: filepath.Join(t.TempDir(), "followed.db")},
	}
	for i, f := range files {
		victims.Go(func() { f.killAll((wanted + i) / len(files)) })
	}
	victims.Wait()
	stop()
	world.Wait()
	if t.Failed() {
		return
	}
	execute(t, db, "PRAGMA litestream_sync")
	var head string
	if err := db.QueryRow("PRAGMA litestream_txid").Scan(&head); err != nil {
		t.Fatal(err)
	}
	want := primary.Dump(t, db)
	for _, f := range files {
		f.finish(head, want)
		t.Logf("%s: %d kills, %d of them after a stop; %d files checked, %d absent", filepath.Base(f.path), f.kills, f.stops, f.checked, f.absent)
	}
	t.Logf("%d transactions", source.counter.Load())
}

// killedFile is what processes make that are killed.
type killedFile struct {
	t                *testing.T
	child, url, path string

	counter                       int64 // of the bank, when it was looked at last
	kills, stops, checked, absent int
}

// killAll starts one process after the other, until n have been killed. Every third is stopped before, for longer than the files that
// it reads are kept.
func (f *killedFile) killAll(n int) {
	for i := 0; i < n && !f.t.Failed(); i++ {
		c := f.start()
		updates := rand.IntN(4) // die at once, or in a later one
		for ; updates > 0 && c.lines.Scan(); updates-- {
		}
		time.Sleep(rand.N(150 * time.Millisecond))
		if i%3 == 1 {
			c.signal(f.t, syscall.SIGSTOP)
			time.Sleep(soakLevels.L0Retention + rand.N(time.Second))
			c.signal(f.t, syscall.SIGCONT)
			if !c.lines.Scan() { // it goes on, from the files of now
				f.t.Errorf("%s ended after it had been stopped", f.child)
			}
			f.stops++
		}
		c.kill()
		f.kills++
		f.check()
	}
}

func (f *killedFile) start() *child {
	c := startChild(f.t, f.child, f.url+" "+f.path)
	if !c.lines.Scan() || c.lines.Text() != "begins" {
		f.t.Errorf("%s says: %s", f.child, c.lines.Text())
	}
	return c
}

// check looks at what a killed process has left, as any program would that opens it.
func (f *killedFile) check() {
	if _, err := os.Stat(f.path); errors.Is(err, fs.ErrNotExist) && f.checked == 0 {
		f.absent++
		return
	}
	db := openFile(f.t, f.path)
	defer db.Close()
	var verdict string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		f.t.Errorf("%s after kill %d: integrity_check: %q, %v", f.child, f.kills, verdict, err)
		return
	}
	n, err := check(f.t.Context(), db)
	if err != nil || n < f.counter {
		f.t.Errorf("%s after kill %d: transaction %d, it was %d before, %v", f.child, f.kills, n, f.counter, err)
	}
	f.counter = n
	f.checked++
}

// finish lets the last process come to the head, and compares what it has made.
func (f *killedFile) finish(head, want string) {
	f.t.Helper()
	c := f.start()
	for c.lines.Scan() && c.lines.Text() < head { // as hex digits
	}
	if c.lines.Text() != head {
		f.t.Errorf("%s never came to the head %s: it ends with %q", f.child, head, c.lines.Text())
	}
	c.kill()
	f.check()
	if primary.Dump(f.t, openFile(f.t, f.path)) != want {
		f.t.Errorf("%s: its file does not read as the source does", f.child)
	}
	if f.checked == 0 {
		f.t.Errorf("%s never left a file: the test tests nothing", f.child)
	}
}
