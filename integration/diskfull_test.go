package integration

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/integration/servers"
	"github.com/litefs-s3/litefs-s3/internal/kills"
)

// fullChild makes the test binary meet a full disk: what it does, the disk, and a URL, with spaces between them.
const fullChild = "INTEGRATION_FULL_CHILD"

func meetFullDisk(job string) error {
	signal.Ignore(syscall.SIGXFSZ)
	what, rest, _ := strings.Cut(job, " ")
	disk, url := parseDisk(rest)
	run, ok := map[string]func(smallDisk, string) error{
		"commit": commitOnFullDisk, "spill": spillOnFullDisk, "hydrate": hydrateOnFullDisk, "advance": advanceOnFullDisk,
		"restore": restoreOnFullDisk, "follow": followOnFullDisk, "compact": compactOnFullDisk, "keep": keepOnFullDisk,
	}[what]
	if !ok {
		return fmt.Errorf("no job is called %q", what)
	}
	return run(disk, url)
}

func startOnDisk(t *testing.T, what string, d smallDisk, url string) *child {
	t.Helper()
	return startChild(t, fullChild, fmt.Sprint(what, " ", d, " ", url))
}

// says reads the next line, which has to begin like that, and returns the rest of it.
func (c *child) says(t *testing.T, begin string) string {
	t.Helper()
	c.lines.Scan()
	rest, ok := strings.CutPrefix(c.lines.Text(), begin)
	if !ok {
		t.Fatalf("the child says %q, want %q", c.lines.Text(), begin)
	}
	return rest
}

// saysFull is says for a line that has to tell of the full disk.
func (c *child) saysFull(t *testing.T, begin string, d smallDisk) {
	t.Helper()
	if text := c.says(t, begin); !strings.Contains(text, d.errFull().Error()) {
		t.Fatalf("the child does not say that the disk is full: %s", text)
	}
}

// goOn tells the child to go on.
func (c *child) goOn(t *testing.T) {
	t.Helper()
	if _, err := fmt.Fprintln(c.in); err != nil {
		t.Fatal(err)
	}
}

// awaitGoOn waits until a child is told to go on.
func awaitGoOn() error {
	if _, err := fmt.Scanln(); err != nil && !strings.Contains(err.Error(), "newline") {
		return err
	}
	return nil
}

// commitOnFullDisk commits until the disk is full, is refused for a while, and reads meanwhile. When it is told to, it goes on with room.
// It says the number of each row that is committed, and "full" when enough was refused.
func commitOnFullDisk(d smallDisk, url string) error {
	c := writerConfig(url, d.path("log"))
	c.SyncInterval = time.Minute // all of it stays in the log
	db, conn, n, err := beginCommitting(c)
	if err != nil {
		return err
	}
	if err := d.fill(100<<10 + rand.Int64N(600<<10)); err != nil {
		return err
	}
	for refused := 0; refused < 30; {
		switch err := addRow(conn, n+1); {
		case err == nil:
			n++
			fmt.Println(n)
			continue
		case !errors.Is(litefss3.Cause(conn, "main"), d.errFull()):
			return fmt.Errorf("row %d: %w, because of: %w", n+1, err, litefss3.Cause(conn, "main"))
		}
		refused++
		if there, err := countRows(conn); err != nil || there != n {
			return fmt.Errorf("refused %d times: %d rows are committed, and %d are read: %w", refused, n, there, err)
		}
	}
	fmt.Println("full")
	if err := errors.Join(awaitGoOn(), d.makeRoom()); err != nil {
		return err
	}
	for range 20 {
		n++
		if err := addRow(conn, n); err != nil {
			return fmt.Errorf("with room again, row %d: %w, because of: %w", n, err, litefss3.Cause(conn, "main"))
		}
		fmt.Println(n)
	}
	return errors.Join(conn.Close(), db.Close())
}

// TestDiskFull_Writer fills the disk below a commit log. What does not fit is refused and leaves no trace, reads go on, what had returned is
// there: after a kill as after room was made.
func TestDiskFull_Writer(t *testing.T) {
	t.Parallel()
	minio := servers.StartMinIO(t)
	setEnv(t, minio)
	bucket := minio.Bucket(t)
	rounds := kills.Count(t, 4)
	committed := 0
	for round := range rounds {
		url := minio.URL(bucket, fmt.Sprint("apps/full-", round))
		disk := newSmallDisk(t, 16<<20)
		c := startOnDisk(t, "commit", disk, url)
		n := found(t, c)
		n, last := c.rows(n)
		if last != "full" {
			t.Fatalf("the writer says: %s", last)
		}
		if round%2 == 0 {
			c.kill()
			if disk.real { // the next one finds room
				if err := disk.makeRoom(); err != nil {
					t.Fatal(err)
				}
			}
		} else {
			c.goOn(t)
			if n, last = c.rows(n); last != "" {
				t.Fatalf("the writer says: %s", last)
			}
			if err := c.Wait(); err != nil {
				t.Fatal(err)
			}
		}
		checkBucket(t, minio, url, url+" "+disk.path("log"), n)
		if got := rowsOf(t, minio.S3, url); got != n {
			t.Errorf("%d rows were committed, %d are there", n, got)
		}
		committed += n
	}
	t.Logf("%d full disks, %d rows committed", rounds, committed)
}

// rows reads the numbers that a writer says, up to something else: it returns the last of them, and that.
func (c *child) rows(n int) (last int, said string) {
	for c.lines.Scan() {
		if _, err := fmt.Sscan(c.lines.Text(), &n); err != nil {
			return n, c.lines.Text()
		}
	}
	return n, ""
}
