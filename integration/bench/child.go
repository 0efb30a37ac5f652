package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"time"
)

// jobEnv holds the job of a process that measures.
const jobEnv = "LITEFS_S3_BENCH_JOB"

// job is one measurement for a process of its own.
type job struct {
	Measure string
	Data    dataset
	Latency time.Duration
	Run     int // from 0
	Tiny    bool

	Endpoint string // of the proxy
	Direct   string // of MinIO itself
	Control  string // URL of the proxy's counters
	Local    string // path of the same database as a file
	Scratch  string // bucket for what the measurement writes

	Profile    string // file for the CPU profile; empty means none
	Transcript string // file for the requests since the last reset; empty means none
}

// start runs the job in a process of its own and returns what it measured.
func (j *job) start(ctx context.Context) ([]row, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(j)
	if err != nil {
		return nil, err
	}
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), jobEnv+"="+string(text))
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s of %s at %s: %w\n%s", j.Measure, j.Data.Name, j.Latency, err, bytes.TrimSpace(errs.Bytes()))
	}
	os.Stderr.Write(errs.Bytes()) // what it has left out
	var rows []row
	if err := json.Unmarshal(out.Bytes(), &rows); err != nil {
		return nil, fmt.Errorf("%s of %s at %s: %w", j.Measure, j.Data.Name, j.Latency, err)
	}
	return rows, nil
}

// childMain does the job that the environment names, if it names one, and does not return then.
func childMain(ctx context.Context) {
	text := os.Getenv(jobEnv)
	if text == "" {
		return
	}
	if err := doJob(ctx, text); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func doJob(ctx context.Context, text string) (err error) {
	b := new(bench)
	if err := json.Unmarshal([]byte(text), &b.job); err != nil {
		return err
	}
	m, err := measureNamed(b.Measure)
	if err != nil {
		return err
	}
	seed := fnv.New64()
	seed.Write([]byte(b.Measure))
	b.rng = rand.New(rand.NewPCG(seed.Sum64(), uint64(b.Run)))
	b.proxy = counters{b.Control}
	stop, err := profile(b.Profile)
	if err != nil {
		return err
	}
	err = m.run(ctx, b)
	if err := errors.Join(err, stop(), b.keepTranscript(ctx)); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(b.rows)
}

// profile writes a CPU profile to path until stop is called. An empty path means none.
func profile(path string) (stop func() error, err error) {
	if path == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return f.Close()
	}, nil
}

// keepTranscript writes what was asked since the last reset, one request a line.
func (b *bench) keepTranscript(ctx context.Context) error {
	if b.Transcript == "" {
		return nil
	}
	t, err := b.proxy.read(ctx)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	for _, r := range t.Transcript {
		fmt.Fprintln(&text, r)
	}
	return os.WriteFile(b.Transcript, text.Bytes(), 0o644)
}

// fileFor is the name of a file for one job in dir; nothing when dir is empty.
func (j *job) fileFor(dir, ext string) string {
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, fmt.Sprintf("%s-%s-%s-%d.%s", j.Measure, j.Data.Name, j.Latency, j.Run+1, ext))
}

// bench is what a measurement works with.
type bench struct {
	job
	rng   *rand.Rand
	proxy counters
	rows  []row
}

// add notes what was measured of one case. name is key=value, or several with slashes between, or empty.
func (b *bench) add(name string, figures ...figure) {
	b.rows = append(b.rows, row{Measure: b.Measure, DB: b.Data.Name, Latency: b.Latency, Case: name, Figures: figures})
}

// times is how often something is done that is done n times in a real run.
func (j *job) times(n int) int {
	if j.Tiny {
		return max(1, n/20)
	}
	return n
}

// lasting is how long something takes that takes d in a real run.
func (j *job) lasting(d time.Duration) time.Duration {
	if j.Tiny {
		return d / 20
	}
	return d
}
