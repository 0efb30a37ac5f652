package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/superfly/ltx"

	"github.com/litefs-s3/litefs-s3/integration/sample"
	"github.com/litefs-s3/litefs-s3/integration/servers"
)

// ltxctl is the command, built as users build it.
type ltxctl string

func buildLtxctl(t *testing.T) ltxctl {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ltxctl")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, module+"/cmd/ltxctl").CombinedOutput()
	if err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return ltxctl(path)
}

// run runs a command line, which has to end with a code, and returns what it wrote to standard output.
func (l ltxctl) run(t *testing.T, code int, args ...string) string {
	t.Helper()
	return l.runWith(t, nil, code, args...)
}

// runWith is run with more in the environment.
func (l ltxctl) runWith(t *testing.T, env []string, code int, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), string(l), args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	got := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	if got != code {
		t.Fatalf("ltxctl %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), got, code, out.String(), errs.String())
	}
	return out.String()
}

// ask runs a command line with --json and reads the answer.
func ask[T any](t *testing.T, l ltxctl, code int, args ...string) (answer T) {
	t.Helper()
	out := l.run(t, code, append(args, "--json")...)
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		t.Fatalf("ltxctl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return answer
}

// TestLtxctl_Operates goes through an operator's day: a database in use is pushed, an unmodified Litestream goes on from it, and the replica
// is verified, compacted, looked at, compared and restored, always to the byte as litestream restore does; a damaged object is found.
func TestLtxctl_Operates(t *testing.T) {
	minio := servers.StartMinIO(t)
	minio.SetEnv(t)
	tool := buildLtxctl(t)
	bucket := minio.Bucket(t)
	url := minio.URL(bucket, "apps/bank")
	source := openBank(t, filepath.Join(t.TempDir(), "source.db"))
	pushWhileInUse(t, tool, source, url)
	tool.run(t, 1, "push", sourcePath(t, source), url) // not a second time

	adopted := filepath.Join(t.TempDir(), "adopted.db")
	sameRestore(t, minio, tool, url, adopted, 0)
	daemon, bank := adopt(t, minio, bucket, adopted)
	before := bank.counter.Load()
	for range 40 {
		if err := bank.transfer(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := daemon.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
	}
	stopDaemon(t, daemon)

	if got := ask[verdict](t, tool, 0, "verify", url, "--deep"); got.Outcome != "good" || len(got.Deep) != 1 || got.Deep[0].Integrity != "ok" {
		t.Errorf("before compaction: %+v", got)
	}
	levels := []string{"--force", "--levels", "1s,5s,20s", "--settle", "1s"}
	plan := ask[struct{ Steps []any }](t, tool, 0, append([]string{"compact", url, "--dry-run"}, levels...)...)
	report := ask[struct{ Made []any }](t, tool, 0, append([]string{"compact", url}, levels...)...)
	if len(plan.Steps) < 2 || len(report.Made) < len(plan.Steps) {
		t.Errorf("planned %d files, made %d", len(plan.Steps), len(report.Made))
	}
	tool.run(t, 0, "snapshot", url)
	if got := ask[verdict](t, tool, 0, "verify", url, "--deep"); got.Outcome != "good" {
		t.Errorf("after compaction: %+v", got)
	}
	status := ask[struct {
		Health string
		Levels []struct{ Level int }
		Lease  struct{ State string }
	}](t, tool, 0, "status", url)
	if status.Health == "damaged" || len(status.Levels) < 3 || status.Lease.State != "none" {
		t.Errorf("status: %+v", status)
	}
	compareMoments(t, tool, url, bank.counter.Load()-before)

	sameRestore(t, minio, tool, url, filepath.Join(t.TempDir(), "head.db"), 0)
	history := moments(t, tool, url)
	sameRestore(t, minio, tool, url, filepath.Join(t.TempDir(), "past.db"), history[len(history)/2])
	damageIsFound(t, minio, tool, bucket, url)
}

// verdict is what verify says.
type verdict struct {
	Outcome  string
	Problems []struct{ Key string }
	Deep     []struct {
		Integrity string `json:"integrity_check"`
	}
}

func sourcePath(t *testing.T, b *bank) (path string) {
	t.Helper()
	if err := b.db.QueryRow("SELECT file FROM pragma_database_list WHERE name = 'main'").Scan(&path); err != nil {
		t.Fatal(err)
	}
	return path
}

// pushWhileInUse pushes a database that is written to all the time.
func pushWhileInUse(t *testing.T, tool ltxctl, source *bank, url string) {
	t.Helper()
	for range 60 {
		if err := source.transfer(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	var writing sync.WaitGroup
	writing.Go(func() { keepWriting(ctx, t, source) })
	out := tool.run(t, 0, "push", sourcePath(t, source), url)
	stop()
	writing.Wait()
	if !strings.Contains(out, "as txid 0000000000000001") {
		t.Errorf("push says %s", out)
	}
}

// adopt lets Litestream go on from a restored database, with whose merging nobody interferes.
func adopt(t *testing.T, minio *servers.MinIO, bucket, path string) (*servers.Litestream, *bank) {
	t.Helper()
	db, err := sample.OpenSource(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	b := &bank{db: db}
	n, err := check(t.Context(), db) // what was pushed is one moment of the bank
	if err != nil {
		t.Fatal(err)
	}
	b.counter.Store(n)
	opts := servers.FastLitestream(minio.S3, bucket, "apps/bank", path)
	opts.Levels, opts.SnapshotInterval = []time.Duration{time.Hour}, 24*time.Hour
	opts.SnapshotRetention, opts.L0Retention = 24*time.Hour, time.Hour
	return servers.StartLitestream(t, opts), b
}

// sameRestore restores with both tools, at a TXID or the head, and compares byte for byte.
func sameRestore(t *testing.T, minio *servers.MinIO, tool ltxctl, url, path string, txid ltx.TXID) {
	t.Helper()
	args := []string{"restore", url, path, "--integrity-check"}
	if txid > 0 {
		args = append(args, "--txid", txid.String())
	}
	tool.run(t, 0, args...)
	theirs := filepath.Join(t.TempDir(), "theirs.db")
	if err := servers.LitestreamRestore(t.Context(), minio.S3, url, theirs, servers.RestoreOptions{TXID: txid}); err != nil {
		t.Fatal(err)
	}
	a, err1 := os.ReadFile(path)
	b, err2 := os.ReadFile(theirs)
	if err1 != nil || err2 != nil || !bytes.Equal(a, b) || len(a) == 0 {
		t.Errorf("at txid %s ltxctl restores %d bytes and litestream %d, and they differ: %v, %v", txid, len(a), len(b), err1, err2)
	}
}

// moments are those of the history, oldest first.
func moments(t *testing.T, tool ltxctl, url string) (txids []ltx.TXID) {
	t.Helper()
	answer := ask[struct {
		Transactions []struct {
			TXID  string
			Pages int
		}
	}](t, tool, 0, "history", url, "--limit", "0", "--tables")
	for _, tx := range answer.Transactions {
		txid, err := ltx.ParseTXID(tx.TXID)
		if err != nil || tx.Pages == 0 {
			t.Fatalf("%+v: %v", tx, err)
		}
		txids = append([]ltx.TXID{txid}, txids...)
	}
	if len(txids) < 10 {
		t.Fatalf("the history has %d moments", len(txids))
	}
	return txids
}

// compareMoments compares the first and the last moment: each transfer added one entry to the ledger.
func compareMoments(t *testing.T, tool ltxctl, url string, transfers int64) {
	t.Helper()
	answer := ask[struct {
		Tables []struct {
			Table          string
			Added, Removed int64
		}
	}](t, tool, 0, "diff", url, "--from", "txid:1", "--limit", "1")
	for _, table := range answer.Tables {
		if table.Table == "ledger" && table.Added == transfers && table.Removed == 0 {
			return
		}
	}
	t.Errorf("%d transfers, and diff tells of %+v", transfers, answer.Tables)
}

// damageIsFound flips one bit in the middle of an object: verify says so, and which one.
func damageIsFound(t *testing.T, minio *servers.MinIO, tool ltxctl, bucket, url string) {
	t.Helper()
	files, err := servers.ListLTX(t.Context(), minio.S3, bucket, "apps/bank")
	if err != nil {
		t.Fatal(err)
	}
	key := files[len(files)-1].Key // a snapshot
	data, err := minio.Get(t.Context(), bucket, key)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := minio.Put(t.Context(), bucket, key, data, nil); err != nil {
		t.Fatal(err)
	}
	got := ask[verdict](t, tool, 4, "verify", url)
	if got.Outcome != "bad" || len(got.Problems) == 0 || !strings.HasSuffix(key, got.Problems[0].Key) {
		t.Errorf("%s is damaged, and verify says %+v", key, got)
	}
}
