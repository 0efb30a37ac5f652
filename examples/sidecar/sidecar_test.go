package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/litefs-s3/litefs-s3/examples/internal/world"
	"github.com/litefs-s3/litefs-s3/integration/servers"
)

func TestMain(m *testing.M) { world.Main(m, main) }

// The three programs of the compose file, with its variables and Litestream's configuration: the reader sees what the writer writes.
func TestPair(t *testing.T) {
	w := world.New(t)
	t.Setenv("DB_PATH", filepath.Join(t.TempDir(), "app.db"))
	t.Setenv("LITESTREAM_REPLICA_URL", w.URL("events"))
	t.Setenv("ADDR", "127.0.0.1:0")
	reader := w.Start(t, "read")
	if a := reader.Get(t, "/events"); a.Status != 503 || a.Body != "nothing is in the bucket yet\n" {
		t.Errorf("before anything is there: %d %s", a.Status, a.Body)
	}
	writer := w.Run(t, nil, "write")
	world.Eventually(t, func() error {
		_, err := os.Stat(os.Getenv("DB_PATH"))
		return err
	})
	litestream := startLitestream(t)
	count := func() int {
		var a answer
		if err := json.Unmarshal([]byte(reader.Get(t, "/events").Body), &a); err != nil || a.Newest == "" || a.Age < 0 {
			return 0
		}
		return a.Count
	}
	world.Eventually(t, func() error {
		if n := count(); n < 3 {
			return fmt.Errorf("the reader sees %d events", n)
		}
		return nil
	})
	writer.Stop(t)
	if err := litestream.Process.Signal(os.Interrupt); err != nil { // it uploads what is left
		t.Fatal(err)
	}
	if err := litestream.Wait(); err != nil {
		t.Errorf("Litestream ended with %v", err)
	}
	want := written(t)
	world.Eventually(t, func() error {
		if n := count(); n != want {
			return fmt.Errorf("the reader sees %d events, and the writer has written %d", n, want)
		}
		return nil
	})
	reader.Stop(t)
}

// startLitestream runs the command of the compose file.
func startLitestream(t *testing.T) *exec.Cmd {
	t.Helper()
	path, err := servers.Build(t.Context(), "litestream")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "replicate", "-config", "litestream.yml")
	var printed bytes.Buffer
	cmd.Stdout, cmd.Stderr = &printed, &printed
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			cmd.Process.Kill() // or it has ended
			cmd.Wait()         // that it was killed is no news
		}
		if t.Failed() {
			t.Logf("Litestream printed:\n%s", printed.String())
		}
	})
	return cmd
}
