package servers

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/superfly/ltx"
)

const (
	litestreamStart = 60 * time.Second // until the daemon's control socket answers
	syncTimeout     = 60 * time.Second // for Sync when its context has no deadline
)

// LitestreamOptions say what a daemon replicates where, and how fast. A duration or number of zero is left out of the
// daemon's configuration, so that its own default holds.
type LitestreamOptions struct {
	DB     string // path of the source database; it need not exist yet
	S3     S3     // where the bucket is; the endpoint may be a proxy's
	Bucket string // must exist
	Path   string // of the replica in the bucket, without slashes at its ends

	Levels             []time.Duration // intervals of levels 1, 2 and so on (30 s, 5 min, 1 h)
	SnapshotInterval   time.Duration   // 24 h
	SnapshotRetention  time.Duration   // 24 h
	L0Retention        time.Duration   // of level 0 files that are in level 1 (5 min)
	L0RetentionCheck   time.Duration   // between looks for such files (15 s)
	MonitorInterval    time.Duration   // between looks at the WAL (1 s)
	SyncInterval       time.Duration   // between uploads (1 s)
	CheckpointInterval time.Duration   // 1 min
	MinCheckpointPages int             // pages in the WAL that call for a checkpoint (1000)
	TruncatePages      int             // pages in the WAL that call for a blocking checkpoint (121359)
	LogLevel           string          // info, or debug for every request and checkpoint (info)
}

// FastLitestream are options for a test that wants to see all that a daemon does in a day within half a minute: levels
// every 1, 3 and 10 s, snapshots every 15 s kept for 30 s, level 0 gone after 5 s, uploads several times a second.
func FastLitestream(s3 S3, bucket, path, db string) LitestreamOptions {
	return LitestreamOptions{
		DB: db, S3: s3, Bucket: bucket, Path: path,
		Levels:             []time.Duration{time.Second, 3 * time.Second, 10 * time.Second},
		SnapshotInterval:   15 * time.Second,
		SnapshotRetention:  30 * time.Second,
		L0Retention:        5 * time.Second,
		L0RetentionCheck:   time.Second,
		MonitorInterval:    100 * time.Millisecond,
		SyncInterval:       100 * time.Millisecond,
		CheckpointInterval: 5 * time.Second,
	}
}

// Litestream is a running daemon of unmodified Litestream with one database and one replica.
type Litestream struct {
	opts LitestreamOptions
	dir  string // configuration and control socket; a short path, for sockets must have one
	log  *logBuffer
	mu   sync.Mutex
	proc *process // guarded by mu; replaced by Restart
}

// StartLitestream starts a daemon. It is killed at the end of the test; call Stop before if what it has not uploaded yet
// matters. If the test fails, what the daemon printed is shown.
func StartLitestream(t testing.TB, opts LitestreamOptions) *Litestream {
	t.Helper()
	l, err := OpenLitestream(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	showLogIfFailed(t, "Litestream", l.log)
	return l
}

// OpenLitestream starts a daemon and waits until it takes commands. ctx bounds the start, not the daemon's life: the
// caller ends it with Close.
func OpenLitestream(ctx context.Context, opts LitestreamOptions) (*Litestream, error) {
	abs, err := filepath.Abs(opts.DB)
	if err != nil {
		return nil, err
	}
	opts.DB = abs
	dir, err := os.MkdirTemp("", "ls")
	if err != nil {
		return nil, err
	}
	l := &Litestream{opts: opts, dir: dir, log: new(logBuffer)}
	config, err := json.MarshalIndent(l.config(), "", "  ") // which is YAML too
	if err == nil {
		err = os.WriteFile(l.configPath(), config, 0o600)
	}
	if err == nil {
		err = l.start(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return l, nil
}

func (l *Litestream) configPath() string { return filepath.Join(l.dir, "litestream.yml") }
func (l *Litestream) socketPath() string { return filepath.Join(l.dir, "control") }

// config is the daemon's configuration file.
func (l *Litestream) config() map[string]any {
	o := l.opts
	levels := make([]settings, len(o.Levels))
	for i, interval := range o.Levels {
		levels[i] = settings{"interval": interval.String()}
	}
	replica := settings{"url": l.URL()}
	replica.add("sync-interval", o.SyncInterval)
	db := settings{"path": o.DB, "replica": replica}
	db.add("monitor-interval", o.MonitorInterval)
	db.add("checkpoint-interval", o.CheckpointInterval)
	if o.MinCheckpointPages > 0 {
		db["min-checkpoint-page-count"] = o.MinCheckpointPages
	}
	if o.TruncatePages > 0 {
		db["truncate-page-n"] = o.TruncatePages
	}
	snapshot := settings{}
	snapshot.add("interval", o.SnapshotInterval)
	snapshot.add("retention", o.SnapshotRetention)
	config := settings{
		"dbs": []settings{db}, "snapshot": snapshot, "logging": settings{"level": cmp.Or(o.LogLevel, "info")},
		"socket": settings{"enabled": true, "path": l.socketPath()},
	}
	config.add("l0-retention", o.L0Retention)
	config.add("l0-retention-check-interval", o.L0RetentionCheck)
	if len(levels) > 0 {
		config["levels"] = levels
	}
	return config
}

// settings is a section of the configuration.
type settings map[string]any

// add sets a duration unless it is zero.
func (s settings) add(name string, d time.Duration) {
	if d > 0 {
		s[name] = d.String()
	}
}

// start starts the process and waits until its control socket answers.
func (l *Litestream) start(ctx context.Context) error {
	path, err := Build(ctx, "litestream")
	if err != nil {
		return err
	}
	args := []string{"replicate", "-config", l.configPath(), "-no-expand-env"}
	proc, err := startProcess("Litestream", path, args, cleanEnv(l.opts.S3.Env()...), l.log)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, litestreamStart)
	defer cancel()
	err = proc.poll(ctx, func(ctx context.Context) error {
		return l.control(ctx, http.MethodGet, "/info", nil, new(struct{}))
	})
	if err != nil {
		return errors.Join(err, proc.kill())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.proc = proc
	return nil
}

// URL is the replica's, without credentials.
func (l *Litestream) URL() string { return l.opts.S3.URL(l.opts.Bucket, l.opts.Path) }

// Log returns what the daemon printed lately.
func (l *Litestream) Log() string { return l.log.since(0) }

// Stop ends the daemon in good order: it uploads what was committed before it goes. Only a daemon that has not looked at
// the database yet, because it has just started, goes at once; call Sync before if that may be.
func (l *Litestream) Stop(ctx context.Context) error { return l.current().stop(ctx, os.Interrupt) }

// Kill ends the daemon as a crash does. Killing one that has ended is no error.
func (l *Litestream) Kill() error { return l.current().kill() }

// Restart starts a daemon that was stopped or killed (it kills one that runs) on the same database and replica.
func (l *Litestream) Restart(ctx context.Context) error {
	if err := l.Kill(); err != nil {
		return err
	}
	return l.start(ctx)
}

// Pause freezes the daemon with whatever locks it holds, until Resume.
func (l *Litestream) Pause() error { return l.current().signal(sigPause) }

// Resume lets a paused daemon go on.
func (l *Litestream) Resume() error { return l.current().signal(sigResume) }

// Close kills the daemon if it still runs and removes its configuration. The database and the replica stay.
func (l *Litestream) Close() error { return errors.Join(l.Kill(), os.RemoveAll(l.dir)) }

func (l *Litestream) current() *process {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.proc
}

// Sync makes the daemon upload everything that was committed before the call, and returns the TXID that holds it once
// it is in the bucket. It waits a minute if ctx has no deadline.
func (l *Litestream) Sync(ctx context.Context) (ltx.TXID, error) {
	ctx, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()
	request := map[string]any{"path": l.opts.DB, "wait": true, "timeout": int(syncTimeout.Seconds())}
	var answer struct {
		TXID       uint64 `json:"txid"`
		Replicated uint64 `json:"replicated_txid"`
	}
	if err := l.control(ctx, http.MethodPost, "/sync", request, &answer); err != nil {
		return 0, fmt.Errorf("Litestream sync: %w", err)
	}
	if answer.Replicated < answer.TXID {
		return 0, fmt.Errorf("Litestream sync: at txid %d and replicated only to %d", answer.TXID, answer.Replicated)
	}
	return ltx.TXID(answer.TXID), l.WaitTXID(ctx, ltx.TXID(answer.TXID))
}

// control sends a command to the daemon's socket and decodes the answer.
func (l *Litestream) control(ctx context.Context, method, path string, request, answer any) error {
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://litestream"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", l.socketPath())
		},
	}}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", resp.Status, strings.TrimSpace(string(data)))
	}
	return json.Unmarshal(data, answer)
}

// WaitTXID waits until a file in the bucket, of whatever level, reaches the TXID.
func (l *Litestream) WaitTXID(ctx context.Context, txid ltx.TXID) error {
	return l.current().poll(ctx, func(ctx context.Context) error {
		files, err := l.Files(ctx)
		if err != nil {
			return err
		}
		var newest ltx.TXID
		for _, f := range files {
			newest = max(newest, f.Max)
		}
		if newest < txid {
			return fmt.Errorf("the newest file of %d ends at txid %s, before %s", len(files), newest, txid)
		}
		return nil
	})
}

// Files lists the replica's LTX files by looking into the bucket, levels from 0 to 9.
func (l *Litestream) Files(ctx context.Context) ([]LTXFile, error) {
	return ListLTX(ctx, l.opts.S3, l.opts.Bucket, l.opts.Path)
}

// LTX lists the replica's files by running litestream ltx.
func (l *Litestream) LTX(ctx context.Context) ([]LTXFile, error) {
	return LitestreamLTX(ctx, l.opts.S3, l.URL())
}

// Restore makes a database at path out of the replica by running litestream restore.
func (l *Litestream) Restore(ctx context.Context, path string, opts RestoreOptions) error {
	return LitestreamRestore(ctx, l.opts.S3, l.URL(), path, opts)
}
