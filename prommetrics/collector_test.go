package prommetrics_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/integration/primary"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/faultstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
	"github.com/litefs-s3/litefs-s3/prommetrics"
)

// open returns a pool with one connection on the replica in store.
func open(t *testing.T, store objstore.Store, url string, change ...func(*litefss3.Config)) *sql.DB {
	t.Helper()
	c := litefss3.Config{Store: store, ReplicaURL: url, PollInterval: -1}
	for _, f := range change {
		f(&c)
	}
	db, err := litefss3.OpenDB(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if err := db.Ping(); err != nil {
		t.Fatal(err)
	}
	return db
}

func writing(t *testing.T) func(*litefss3.Config) {
	dir := filepath.Join(t.TempDir(), "log")
	return func(c *litefss3.Config) {
		c.Write, c.BufferPath, c.SyncInterval, c.Compaction = true, dir, time.Hour, litefss3.CompactionOn
		c.CloseTimeout = 100 * time.Millisecond
	}
}

func execute(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	for _, q := range statements {
		if _, err := db.Exec(q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
}

// scrape is what a scrape brings: the series of each metric.
type scrape map[string][]*dto.Metric

// gather scrapes with a registry that checks what it gets: names, labels that are what was described, no series twice.
func gather(t *testing.T) scrape {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	if err := reg.Register(prommetrics.New()); err != nil {
		t.Fatal(err)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	s := scrape{}
	for _, f := range families {
		s[f.GetName()] = f.GetMetric()
	}
	return s
}

// value is that of the one series of a metric with the labels, which are written name=value. ok is false when there is none.
func (s scrape) value(name string, labels ...string) (v float64, ok bool) {
	for _, m := range s["litefs_s3_"+name] {
		if matches(m, labels) {
			return m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount()), true
		}
	}
	return 0, false
}

func matches(m *dto.Metric, labels []string) bool {
	have := map[string]bool{}
	for _, l := range m.GetLabel() {
		have[l.GetName()+"="+l.GetValue()] = true
	}
	for _, l := range labels {
		if !have[l] {
			return false
		}
	}
	return true
}

// want checks one series.
func (s scrape) want(t *testing.T, v float64, name string, labels ...string) {
	t.Helper()
	if got, ok := s.value(name, labels...); !ok || got != v {
		t.Errorf("%s %v is %v (there: %t), want %v", name, labels, got, ok, v)
	}
}

// atLeast checks that one series is there and has a least value.
func (s scrape) atLeast(t *testing.T, v float64, name string, labels ...string) {
	t.Helper()
	if got, ok := s.value(name, labels...); !ok || got < v {
		t.Errorf("%s %v is %v (there: %t), want %v or more", name, labels, got, ok, v)
	}
}

// absent checks that there is no such series.
func (s scrape) absent(t *testing.T, name string, labels ...string) {
	t.Helper()
	if got, ok := s.value(name, labels...); ok {
		t.Errorf("%s %v is %v, want none", name, labels, got)
	}
}

// follower is a replica of a few rows, and a pool that reads it.
func follower(t *testing.T, store objstore.Store, url string, change ...func(*litefss3.Config)) (*primary.Primary, *sql.DB) {
	t.Helper()
	p := primary.New(t, store, primary.Options{})
	p.Exec(`CREATE TABLE a(x); INSERT INTO a VALUES (randomblob(20000))`)
	p.Sync()
	return p, open(t, p.Store, url, change...)
}

func TestCollector_Nothing(t *testing.T) {
	gather(t).want(t, 0, "databases")
}

func TestCollector_Follower(t *testing.T) {
	url := "mem:" + t.Name()
	_, db := follower(t, new(memstore.Store), url+"?secret=hunter2")
	execute(t, db, "SELECT length(x) FROM a")
	s := gather(t)
	s.want(t, 1, "databases")
	r := "replica=" + url
	s.want(t, 1, "health", r, "health=ok")
	s.want(t, 0, "health", r, "health=gap")
	s.atLeast(t, 1, "txid", r)
	s.want(t, 0, "behind_transactions", r)
	s.atLeast(t, 20000, "database_bytes", r)
	s.atLeast(t, 1, "requests_total", r, "kind=list", "outcome=ok")
	s.atLeast(t, 1, "requests_total", r, "kind=get", "outcome=ok")
	s.absent(t, "requests_total", r, "kind=put")
	gets, _ := s.value("requests_total", r, "kind=get", "outcome=ok")
	s.atLeast(t, gets, "request_duration_seconds", r, "kind=get")
	s.atLeast(t, 20000, "received_bytes_total", r)
	s.atLeast(t, 1e-6, "estimated_dollars_total", r)
	s.atLeast(t, 1, "cache_used_bytes")
	s.absent(t, "writer_pending_commits", r)
	s.absent(t, "hydration_ratio", r)
	s.absent(t, "compaction_runs_total", r)
	for name, series := range s {
		for _, m := range series {
			if strings.Contains(m.String(), "hunter2") {
				t.Errorf("%s tells a secret: %s", name, m)
			}
		}
	}
}

// The three numbers that say how far behind a follower is are three numbers: a store that has lost the next file but one makes the follower
// stand still, and say so.
func TestCollector_FollowerThatStandsStill(t *testing.T) {
	store, url := new(memstore.Store), "mem:"+t.Name()
	p := primary.New(t, store, primary.Options{})
	p.Exec(`CREATE TABLE a(x)`)
	p.Sync()
	seen := new(memstore.Store)
	copyObjects(t, seen, store, "")
	db := open(t, seen, url, func(c *litefss3.Config) { c.PollInterval = 2 * time.Millisecond })
	lost := (&index.File{Min: p.TXID + 1, Max: p.TXID + 1}).Key()
	for range 3 {
		p.Exec(`INSERT INTO a VALUES (1)`)
		p.Sync()
	}
	copyObjects(t, seen, store, lost)
	r := "replica=" + url
	waiting, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { // who waits makes it list soon
		_, _ = db.ExecContext(waiting, fmt.Sprintf("PRAGMA litestream_wait_txid = '%s'", p.TXID))
	})
	defer wg.Wait()
	defer stop()
	until(t, func() bool {
		now := gather(t)
		behind, _ := now.value("behind_transactions", r)
		gap, _ := now.value("health", r, "health=gap")
		return behind > 0 && gap == 1
	})
	s := gather(t)
	s.atLeast(t, 1, "polls_failed_total", r)
	lag, _ := s.value("lag_seconds", r)
	age, _ := s.value("data_age_seconds", r)
	certain, _ := s.value("certain_seconds", r)
	if lag <= 0 || age <= 0 || lag == age || certain < lag {
		t.Errorf("lag %v, data age %v, certain %v", lag, age, certain)
	}
}

// copyObjects copies all objects but one.
func copyObjects(t *testing.T, to, from *memstore.Store, except string) {
	t.Helper()
	for _, o := range from.Objects() {
		if o.Key == except {
			continue
		}
		if _, err := to.Put(t.Context(), o.Key, bytes.NewReader(o.Data), objstore.PutOptions{Timestamp: o.Timestamp}); err != nil {
			t.Fatal(err)
		}
	}
}

// until waits for something that happens by itself.
func until(t *testing.T, ok func() bool) {
	t.Helper()
	for !ok() {
		time.Sleep(10 * time.Millisecond)
	}
}

func TestCollector_Writer(t *testing.T) {
	fail := false
	store := faultstore.Wrap(new(memstore.Store), faultstore.Before(func(op, key string) error {
		if fail && op == "put" && strings.HasSuffix(key, ".ltx") {
			return objstore.ErrAccess
		}
		return nil
	}))
	url := "mem:" + t.Name()
	r := "replica=" + url
	follower(t, store, url+"-before") // so that the first compaction finds something
	db := open(t, store, url, writing(t))
	execute(t, db, "INSERT INTO a VALUES (1)", "INSERT INTO a VALUES (1)", "PRAGMA litestream_sync")
	s := gather(t)
	s.want(t, 2, "writer_commits_total", r)
	s.want(t, 0, "writer_pending_commits", r)
	s.want(t, 1, "writer_uploads_total", r)
	s.want(t, 0, "writer_upload_failing", r)
	s.atLeast(t, 2, "writer_durable_txid", r)
	s.want(t, 1, "lease_held", r)
	s.atLeast(t, float64(time.Now().Unix()-1), "lease_deadline_timestamp_seconds", r)
	s.atLeast(t, float64(time.Now().Add(-time.Hour).Unix()), "writer_last_upload_timestamp_seconds", r)
	s.atLeast(t, 1, "sent_bytes_total", r)
	until(t, func() bool { _, ok := gather(t).value("compaction_runs_total", r); return ok })
	s = gather(t)
	s.want(t, 0, "compaction_failures_total", r)
	s.atLeast(t, 1, "level_newest_timestamp_seconds", r, "level=0")
	s.atLeast(t, 1, "compaction_last_success_timestamp_seconds", r)

	fail = true
	execute(t, db, "INSERT INTO a VALUES (2)")
	if _, err := db.Exec("PRAGMA litestream_sync"); err == nil {
		t.Error("sync went well on a store that denies puts")
	}
	s = gather(t)
	s.want(t, 1, "writer_upload_failing", r)
	s.atLeast(t, 1, "writer_upload_failures_total", r)
	s.want(t, 1, "writer_pending_commits", r)
	s.atLeast(t, 1, "writer_pending_bytes", r)
	s.atLeast(t, 1, "requests_total", r, "kind=put", "outcome=denied")
	fail = false
	execute(t, db, "PRAGMA litestream_sync")
	s = gather(t)
	s.want(t, 0, "writer_upload_failing", r)
	s.want(t, 0, "writer_conflict", r)
}

// Somebody else puts the next transaction. The writer stops, and an alert has something to see.
func TestCollector_Conflict(t *testing.T) {
	store := new(memstore.Store)
	url := "mem:" + t.Name()
	db := open(t, store, url, writing(t))
	execute(t, db, "CREATE TABLE a(x)", "PRAGMA litestream_sync", "INSERT INTO a VALUES (1)")
	theirs := (&index.File{Min: 2, Max: 2}).Key()
	if _, err := store.Put(t.Context(), theirs, strings.NewReader("not ours"), objstore.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("PRAGMA litestream_sync"); err == nil {
		t.Error("sync went well although another one was first")
	}
	gather(t).want(t, 1, "writer_conflict", "replica="+url)
}

func TestCollector_Hydration(t *testing.T) {
	p := primary.New(t, new(memstore.Store), primary.Options{})
	p.Exec(`CREATE TABLE a(x); INSERT INTO a VALUES (randomblob(200000))`)
	p.Sync()
	url := "mem:" + t.Name()
	db := open(t, p.Store, url, func(c *litefss3.Config) { c.Hydration.Path = filepath.Join(t.TempDir(), "copy.db") })
	execute(t, db, "PRAGMA litestream_hydrate = 'wait'")
	s := gather(t)
	r := "replica=" + url
	s.want(t, 1, "hydration_ratio", r)
	s.want(t, 1, "hydration_state", r, "state=complete")
	s.want(t, 0, "hydration_state", r, "state=stopped")
	s.want(t, 0, "hydration_failures_total", r)
	present, _ := s.value("hydration_present_pages", r)
	s.want(t, present, "hydration_wanted_pages", r)
	s.atLeast(t, 40, "hydration_present_pages", r)
}

// Two replicas may be open with one URL, seen with other eyes; no series may come twice.
func TestCollector_OneURLTwice(t *testing.T) {
	url := "mem:" + t.Name()
	follower(t, new(memstore.Store), url)
	follower(t, new(memstore.Store), url)
	s := gather(t)
	s.want(t, 2, "databases")
	s.want(t, 1, "health", "replica="+url, "health=ok")
	s.want(t, 1, "health", "replica="+url+"#2", "health=ok")
}

// What was closed has no series any more.
func TestCollector_Closed(t *testing.T) {
	_, db := follower(t, new(memstore.Store), "mem:"+t.Name())
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s := gather(t)
	s.want(t, 0, "databases")
	if len(s) != 1 {
		t.Errorf("there are %d metrics", len(s))
	}
}

// Scrapes go on while replicas come and go, and never meet one that is half open.
func TestCollector_WhileReplicasComeAndGo(t *testing.T) {
	p := primary.New(t, new(memstore.Store), primary.Options{})
	p.Exec(`CREATE TABLE a(x)`)
	p.Sync()
	done := make(chan error, 1)
	go func() {
		for range 30 {
			db, err := litefss3.OpenDB(litefss3.Config{Store: p.Store, ReplicaURL: "mem:" + t.Name(), PollInterval: -1})
			if err == nil {
				err = errors.Join(db.Ping(), db.Close())
			}
			if err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for {
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
			return
		default:
			gather(t)
		}
	}
}
