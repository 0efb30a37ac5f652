package servers

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path"
	"strconv"
	"time"

	"github.com/superfly/ltx"
)

// LTXFile is one file of a replica.
type LTXFile struct {
	Level    int
	Min, Max ltx.TXID
	Size     int64
	Time     time.Time // when the bucket got it
	Key      string    // in the bucket; empty from LitestreamLTX
}

// RestoreOptions say to which state to restore. The zero value is the newest.
type RestoreOptions struct {
	TXID      ltx.TXID  // when not zero, exactly this one; it must be the last of some file
	Timestamp time.Time // when not zero, the newest state before it
}

// LitestreamRestore runs litestream restore of the replica at url, as [S3.URL] gives it, into a new file at path.
// Whoever wrote the replica: what unmodified Litestream makes of it counts.
func LitestreamRestore(ctx context.Context, s3 S3, url, path string, opts RestoreOptions) error {
	args := []string{"restore", "-o", path}
	if opts.TXID != 0 {
		args = append(args, "-txid", opts.TXID.String())
	}
	if !opts.Timestamp.IsZero() {
		args = append(args, "-timestamp", opts.Timestamp.UTC().Format(time.RFC3339Nano))
	}
	_, err := runLitestream(ctx, s3, append(args, url)...)
	return err
}

// LitestreamLTX runs litestream ltx for all levels of the replica at url, as [S3.URL] gives it.
func LitestreamLTX(ctx context.Context, s3 S3, url string) ([]LTXFile, error) {
	out, err := runLitestream(ctx, s3, "ltx", "-level", "all", "-json", url)
	if err != nil {
		return nil, err
	}
	var lines []struct {
		Level     int       `json:"level"`
		Min       string    `json:"min_txid"`
		Max       string    `json:"max_txid"`
		Size      int64     `json:"size"`
		Timestamp time.Time `json:"timestamp"`
	}
	start := max(0, bytes.IndexByte(out, '[')) // log lines may come first
	if err := json.Unmarshal(out[start:], &lines); err != nil {
		return nil, fmt.Errorf("litestream ltx: %w in %q", err, lastBytes(string(out), logTail))
	}
	files := make([]LTXFile, len(lines))
	for i, line := range lines {
		files[i] = LTXFile{Level: line.Level, Size: line.Size, Time: line.Timestamp}
		if files[i].Min, err = ltx.ParseTXID(line.Min); err != nil {
			return nil, fmt.Errorf("litestream ltx: %w", err)
		}
		if files[i].Max, err = ltx.ParseTXID(line.Max); err != nil {
			return nil, fmt.Errorf("litestream ltx: %w", err)
		}
	}
	return files, nil
}

// ListLTX lists the LTX files of the replica at prefix by looking into the bucket, levels from 0 to 9, each in order.
// Objects that are no LTX files are left out.
func ListLTX(ctx context.Context, s3 S3, bucket, prefix string) ([]LTXFile, error) {
	objects, err := s3.List(ctx, bucket, prefix+"/")
	if err != nil {
		return nil, err
	}
	var files []LTXFile
	for _, o := range objects {
		minTXID, maxTXID, err := ltx.ParseFilename(path.Base(o.Key))
		if err != nil {
			continue
		}
		level, err := strconv.ParseUint(path.Base(path.Dir(o.Key)), 16, 8)
		if err != nil {
			continue
		}
		files = append(files, LTXFile{int(level), minTXID, maxTXID, o.Size, o.LastModified, o.Key})
	}
	return files, nil
}

// runLitestream runs the command and returns what it printed on standard output.
func runLitestream(ctx context.Context, s3 S3, args ...string) ([]byte, error) {
	bin, err := Build(ctx, "litestream")
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, bin, args...)
	cmd.Env = cleanEnv(s3.Env()...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		printed := lastBytes(stdout.String()+stderr.String(), logTail)
		return nil, fmt.Errorf("litestream %s: %w:\n%s", args[0], err, printed)
	}
	return stdout.Bytes(), nil
}
