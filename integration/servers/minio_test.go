package servers_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/litefs-s3/litefs-s3/integration/servers"
)

func TestStartMinIO_OneServerOneBucketEach(t *testing.T) {
	t.Parallel()
	a, b := servers.StartMinIO(t), servers.StartMinIO(t)
	if a != b {
		t.Errorf("two servers in one process: %s and %s", a.Endpoint, b.Endpoint)
	}
	if one, two := a.Bucket(t), a.Bucket(t); one == two {
		t.Errorf("two buckets with one name %s", one)
	}
	if err := a.Kill(); err == nil {
		t.Error("the shared server let itself be killed")
	}
}

func TestS3_PutListGetDelete(t *testing.T) {
	t.Parallel()
	ctx, store := t.Context(), servers.StartMinIO(t)
	bucket := store.Bucket(t)
	for _, key := range []string{"app/0001/b", "app/0000/a b+ü", "other"} {
		metadata := map[string]string{"litestream-timestamp": "now"}
		if err := store.Put(ctx, bucket, key, []byte("value of "+key), metadata); err != nil {
			t.Fatal(err)
		}
	}
	objects, err := store.List(ctx, bucket, "app/")
	if err != nil {
		t.Fatal(err)
	}
	if len(objects) != 2 || objects[0].Key != "app/0000/a b+ü" || objects[1].Size != int64(len("value of app/0001/b")) {
		t.Errorf("listing is %+v", objects)
	}
	if data, err := store.Get(ctx, bucket, "app/0000/a b+ü"); err != nil || string(data) != "value of app/0000/a b+ü" {
		t.Errorf("got %q, %v", data, err)
	}
	if err := store.Delete(ctx, bucket, "other"); err != nil {
		t.Error(err)
	}
	var status *servers.StatusError
	if _, err := store.Get(ctx, bucket, "other"); !errors.As(err, &status) || status.Code != "NoSuchKey" {
		t.Errorf("after delete: got %v, want NoSuchKey", err)
	}
	if strings.Contains(fmt.Sprint(status), store.SecretKey) {
		t.Error("an error holds the secret key")
	}
}

func TestS3_ListsMoreThanOnePage(t *testing.T) {
	t.Parallel()
	ctx, store := t.Context(), servers.StartMinIO(t)
	bucket := store.Bucket(t)
	const n = 1010
	for i := range n {
		if err := store.Put(ctx, bucket, fmt.Sprintf("k/%04d", i), nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	objects, err := store.List(ctx, bucket, "k/")
	if err != nil || len(objects) != n {
		t.Errorf("listed %d objects, %v; want %d", len(objects), err, n)
	}
}

func TestNewMinIO_SurvivesAKill(t *testing.T) {
	t.Parallel()
	ctx, store := t.Context(), servers.NewMinIO(t, "")
	bucket := store.Bucket(t)
	if err := store.Put(ctx, bucket, "key", []byte("before"), nil); err != nil {
		t.Fatal(err)
	}
	if err := store.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Get(ctx, bucket, "key"); err == nil {
		t.Error("a killed server answered")
	}
	if err := store.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	if data, err := store.Get(ctx, bucket, "key"); err != nil || string(data) != "before" {
		t.Errorf("after a restart: got %q, %v", data, err)
	}
	if err := store.Stop(ctx); err != nil {
		t.Errorf("stop: %v", err)
	}
}

func TestNewMinIO_PausedAnswersNothing(t *testing.T) {
	t.Parallel()
	store := servers.NewMinIO(t, "")
	bucket := store.Bucket(t)
	if err := store.Pause(); errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := store.List(ctx, bucket, ""); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the deadline", err)
	}
	if err := store.Resume(); err != nil {
		t.Fatal(err)
	}
	if _, err := store.List(t.Context(), bucket, ""); err != nil {
		t.Errorf("after resume: %v", err)
	}
}

// childEnv makes the test binary start a shared MinIO, say where it is, and hang; see TestSharedMinIO_DiesWithProcess.
const childEnv = "LITEFS_S3_TEST_HANG_WITH_MINIO"

func TestSharedMinIO_DiesWithProcess(t *testing.T) {
	if os.Getenv(childEnv) != "" {
		fmt.Println("endpoint", strings.TrimPrefix(servers.StartMinIO(t).Endpoint, "http://"))
		select {} // until we are killed
	}
	t.Parallel()
	if _, err := servers.Build(t.Context(), "minio"); err != nil {
		t.Fatal(err)
	}
	tmp := t.TempDir()
	addr := killProcessWithMinIO(t, tmp)
	eventually(t, "the server and its data are gone", func() error {
		if conn, err := net.Dial("tcp", addr); err == nil {
			conn.Close()
			return fmt.Errorf("%s still accepts connections", addr)
		}
		left, err := filepath.Glob(filepath.Join(tmp, "litefs-s3-minio-*"))
		if err == nil && len(left) > 0 {
			return fmt.Errorf("%v is still there", left)
		}
		return err
	})
}

// killProcessWithMinIO runs a child that uses the shared MinIO with its temporary files in tmp, kills the child, and
// returns the server's address.
func killProcessWithMinIO(t *testing.T, tmp string) string {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^TestSharedMinIO_DiesWithProcess$")
	child.Env = append(os.Environ(), childEnv+"=1", "TMPDIR="+tmp)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer child.Wait()
	defer child.Process.Kill()
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if addr, ok := strings.CutPrefix(lines.Text(), "endpoint "); ok {
			if dirs, err := filepath.Glob(filepath.Join(tmp, "litefs-s3-minio-*")); err != nil || len(dirs) != 1 {
				t.Errorf("the child's data lies in %v, %v; want one directory", dirs, err)
			}
			return addr
		}
	}
	t.Fatalf("the child said nothing: %v", lines.Err())
	return ""
}

func TestBuild_UnknownServer(t *testing.T) {
	t.Parallel()
	if _, err := servers.Build(t.Context(), "ceph"); err == nil || !strings.Contains(err.Error(), "minio") {
		t.Errorf("got %v, want an error that names what there is", err)
	}
}

// eventually calls check until it returns nil, for at most half a minute.
func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: %v", what, err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
