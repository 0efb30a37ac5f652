package main

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/superfly/ltx"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/examples/internal/world"
	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/integration/primary"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

func TestMain(m *testing.M) { world.Main(m, main) }

// atOnce is how many tenants are asked side by side.
const atOnce = 16

// Each of a thousand tenants sees its own notes, an idle one costs next to nothing, and is there when somebody comes back.
func TestTenants(t *testing.T) {
	n := 1000
	if testing.Short() {
		n = 100
	}
	w := world.New(t)
	fill(t, w, n)
	all := &tenants{replicas: strings.Replace(w.URL("TENANT"), "TENANT", "{tenant}", 1), cache: 32 << 20, idle: time.Second, pools: map[string]*sql.DB{}}
	server := httptest.NewServer(all.handler())
	defer server.Close()

	askAll(t, server, 0, 8) // what the first ones cost for all
	waitIdle(t)
	before := memory()
	began := time.Now()
	askAll(t, server, 8, n)
	took := time.Since(began)
	var status string
	if status = get(t, server, "/status"); !strings.Contains(status, fmt.Sprintf(`"known":%d,`, n)) {
		t.Errorf("the status is %s after %d tenants", status, n)
	}
	waitIdle(t)
	each := (memory() - before) / int64(n-8)
	t.Logf("%d tenants asked for the first time in %s, %d at once: %s", n-8, took.Round(time.Millisecond), atOnce, status)
	t.Logf("an idle tenant takes %d bytes", each)
	if each > 64<<10 {
		t.Errorf("an idle tenant takes %d bytes", each)
	}
	askAll(t, server, 0, 20) // they come back
	for _, name := range []string{"t9999", "nobody", "..%2fother", "UPPER"} {
		if got := get(t, server, "/"+name+"/notes"); got != errUnknown.Error()+"\n" {
			t.Errorf("tenant %s: %s", name, got)
		}
	}
	if got := all.known(); got != n {
		t.Errorf("%d pools are kept for %d tenants", got, n)
	}
	if err := all.close(); err != nil {
		t.Error(err)
	}
}

func TestProcess(t *testing.T) {
	w := world.New(t)
	fill(t, w, 1)
	s := w.Start(t, "-addr", "127.0.0.1:0", "-replicas", strings.Replace(w.URL("TENANT"), "TENANT", "{tenant}", 1))
	if a := s.Get(t, "/t0000/notes"); a.Status != 200 || a.Body != notes(0) {
		t.Errorf("got %d %s", a.Status, a.Body)
	}
	s.Stop(t)
}

// fill puts n replicas into the bucket, each a snapshot of a database with notes of its own.
func fill(t *testing.T, w *world.World, n int) {
	t.Helper()
	p := primary.New(t, new(memstore.Store), primary.Options{Pragmas: []string{"synchronous=off"}})
	p.Exec("CREATE TABLE notes(id INTEGER PRIMARY KEY, text TEXT)")
	p.Exec("INSERT INTO notes(text) VALUES (''), ('shared')")
	puts := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	for i := range n {
		p.Exec("UPDATE notes SET text = ? WHERE id = 1", fmt.Sprint("tenant ", i))
		txid := p.Sync()
		p.Snapshot()
		data := p.Read(index.SnapshotLevel, 1, txid)
		key := fmt.Sprintf("t%04d/%04x/%s", i, index.SnapshotLevel, ltx.FormatFilename(1, txid))
		puts <- struct{}{}
		wg.Go(func() {
			defer func() { <-puts }()
			if err := w.Put(context.Background(), w.Name, key, data, nil); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func notes(i int) string { return fmt.Sprintf("[\"tenant %d\",\"shared\"]\n", i) }

// askAll asks the tenants from one number to before another.
func askAll(t *testing.T, server *httptest.Server, from, to int) {
	t.Helper()
	work := make(chan int)
	var wg sync.WaitGroup
	for range atOnce {
		wg.Go(func() {
			for i := range work {
				if got := get(t, server, fmt.Sprintf("/t%04d/notes", i)); got != notes(i) {
					t.Errorf("tenant %d: %s", i, got)
				}
			}
		})
	}
	for i := from; i < to; i++ {
		work <- i
	}
	close(work)
	wg.Wait()
}

func get(t *testing.T, server *httptest.Server, path string) string {
	resp, err := http.Get(server.URL + path)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	return string(body)
}

// waitIdle waits until no replica is open.
func waitIdle(t *testing.T) {
	t.Helper()
	world.Eventually(t, func() error {
		if n := len(litefss3.OpenDatabases()); n > 0 {
			return fmt.Errorf("%d replicas are still open", n)
		}
		return nil
	})
}

// memory is what the process holds on its heap and stacks, in bytes.
func memory() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what a sync.Pool holds survives one collection
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
