package hydrate

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/litefs-s3/litefs-s3/integration/primary"
	"github.com/litefs-s3/litefs-s3/internal/kills"
	"github.com/litefs-s3/litefs-s3/objstore/filestore"
)

// childEnv makes the test binary run child instead of the tests: bucket and path, with a | between them.
const childEnv = "HYDRATE_TEST_CHILD"

// child hydrates a copy, follows the head and offers pages, as fast as it can, until it is killed.
func child() {
	bucket, path, _ := strings.Cut(os.Getenv(childEnv), "|")
	if err := hydrateForEver(bucket, path); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func hydrateForEver(bucket, path string) error {
	store, err := filestore.Open(bucket)
	if err != nil {
		return err
	}
	f, err := openFollower(store)
	if err != nil {
		return err
	}
	opts := Options{Path: path, Concurrency: 2, saveEvery: 3 * time.Millisecond, goodRange: minRange}
	c, err := Open(context.Background(), store, "bucket", f.View(), f, opts)
	if err != nil {
		return err
	}
	f.copy.Store(c)
	fmt.Println("open")
	go c.Run(context.Background())
	for {
		if err := f.Poll(context.Background()); err != nil {
			return err
		}
		v := f.View()
		c.Advance(v, nil)
		for range 20 {
			p, ok := v.Lookup(1 + rand.Uint32N(v.Commit))
			if !ok {
				continue
			}
			if version, page, err := readPage(store, v, p.Pgno); err == nil {
				c.Offer(v, p.Pgno, version, page)
			}
		}
		time.Sleep(time.Millisecond)
	}
}

var smallPages = primary.Options{PageSize: 1024}

// H6: a process that hydrates and follows is killed, again and again; what it leaves is right to the byte.
func TestH6_Killed(t *testing.T) {
	t.Parallel()
	const each = 20
	rounds := max(kills.Count(t, 10*each)/each, 1)
	r := newRand(t)
	for round := range rounds {
		seed := r.Uint64()
		t.Run(fmt.Sprint("round=", round), func(t *testing.T) { killRound(t, rand.New(rand.NewPCG(seed, 0)), each) })
	}
}

func killRound(t *testing.T, rnd *rand.Rand, kills int) {
	bucket := t.TempDir()
	store, err := filestore.Create(bucket, filestore.S3Like)
	must(t, err)
	r := newReplicaWith(t, store, 3000, smallPages)
	path := r.path()
	kept := 0
	for n := range kills {
		if rnd.IntN(5) == 0 {
			must(t, os.RemoveAll(path))
			must(t, os.RemoveAll(path+stateSuffix))
		}
		r.killOne(rnd, bucket, path)
		r.mergeSome(rnd)
		kept += r.checkKilled(path, n%2 == 0)
	}
	if kept == 0 {
		t.Error("nothing was ever kept")
	}
	t.Logf("%d kills, %d pages kept of %d at a time", kills, kept, r.View().Commit)
}

// killOne starts a process on the copy, commits meanwhile, and kills it at a random instant.
func (r *replica) killOne(rnd *rand.Rand, bucket, path string) {
	r.withChild(bucket, path, func() { r.writeAtRandom(rnd) })
}

// withChild runs f while another process has the copy open and fills it. Then that process is killed.
func (r *replica) withChild(bucket, path string, f func()) {
	r.t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+bucket+"|"+path)
	out, err := cmd.StdoutPipe()
	must(r.t, err)
	must(r.t, cmd.Start())
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "open\n" {
		r.t.Fatalf("child: %s", line)
	}
	f()
}

// writeAtRandom commits transactions for a random time.
func (r *replica) writeAtRandom(rnd *rand.Rand) {
	deadline := time.Now().Add(time.Duration(rnd.IntN(60_000)) * time.Microsecond)
	for time.Now().Before(deadline) {
		switch rnd.IntN(12) {
		case 0:
			r.primary.Exec(`DELETE FROM t WHERE id%3=?`, rnd.IntN(3))
			r.primary.Exec(`VACUUM`)
		case 1:
			r.insert(300)
		default:
			r.update(1 + rnd.IntN(30))
		}
		r.primary.Sync()
		time.Sleep(min(time.Until(deadline), time.Duration(rnd.IntN(5))*time.Millisecond))
	}
}

// mergeSome lets time pass in the bucket.
func (r *replica) mergeSome(rnd *rand.Rand) {
	txid := r.primary.TXID
	if rnd.IntN(4) == 0 && txid > r.merged+1 {
		r.primary.Compact(1, r.merged+1, txid)
		r.primary.Expire(0, txid)
		r.merged = txid
	}
}

// checkKilled opens what a killed process has left and compares every page.
func (r *replica) checkKilled(path string, clean bool) (kept int) {
	v := r.poll(r.t)
	c, err := Open(context.Background(), r.count, "bucket", v, r.follower, Options{Path: path})
	must(r.t, err)
	kept = checkPages(r.t, c, v, r.primary.Image(v.TXID))
	if clean {
		must(r.t, c.Close())
	} else {
		c.ledger.close()
		must(r.t, c.place.file.Close())
	}
	if _, err := os.Stat(filepath.Dir(path)); err != nil {
		r.t.Fatal(err)
	}
	return kept
}
