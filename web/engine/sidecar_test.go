package engine_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/litefs-s3/litefs-s3/integration/primary"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
	"github.com/litefs-s3/litefs-s3/sidecar"
	"github.com/litefs-s3/litefs-s3/web/engine"
)

// chained is a primary whose replica is a large snapshot and so many small files.
func chained(t *testing.T, files int) *primary.Primary {
	t.Helper()
	p := primary.New(t, new(memstore.Store), primary.Options{})
	p.Exec("CREATE TABLE t(id INTEGER PRIMARY KEY, x)")
	p.Exec("WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n LIMIT 3000) INSERT INTO t SELECT i, hex(randomblob(900)) FROM n")
	p.Sync()
	p.Snapshot()
	p.Expire(0, p.TXID)
	for i := range files {
		p.Exec("UPDATE t SET x = hex(randomblob(900)) WHERE id = ?", 1+i*7)
		p.Sync()
	}
	return p
}

// first opens a replica, reads a row of it, and returns how many requests that took.
func first(t *testing.T, store objstore.Store) engine.RequestsStatus {
	t.Helper()
	m := openReplica(t, store, engine.Options{PollInterval: -1}).Latest()
	defer m.Close()
	if got := one(t, m, "SELECT length(x) FROM t WHERE id = 2500"); got != int64(1800) {
		t.Fatalf("got %v", got)
	}
	return m.Status().Requests
}

// With a sidecar the first row costs a listing and a GET at once, and then the leaf alone.
func TestReplica_Sidecar(t *testing.T) {
	t.Parallel()
	p := chained(t, 8)
	if r := first(t, p.Store); r.List != 1 || r.Get < 9 {
		t.Errorf("without a sidecar: %d lists, %d gets", r.List, r.Get)
	}
	if _, err := sidecar.Update(t.Context(), p.Store, sidecar.Options{}); err != nil {
		t.Fatal(err)
	}
	if r := first(t, p.Store); r.List != 1 || r.Get != 2 {
		t.Errorf("with a sidecar: %d lists, %d gets; want one, and two: the sidecar and a leaf", r.List, r.Get)
	}

	m := openReplica(t, p.Store, engine.Options{PollInterval: -1}).Latest()
	t.Cleanup(func() { m.Close() })
	if got := one(t, m, "PRAGMA integrity_check"); got != "ok" {
		t.Errorf("integrity_check: %v", got)
	}
}

// Pages that others have read first are there before somebody asks.
func TestReplica_SidecarProfile(t *testing.T) {
	t.Parallel()
	p := chained(t, 3)
	lookups := func(profile []uint32) int64 {
		t.Helper()
		if _, err := sidecar.Update(t.Context(), p.Store, sidecar.Options{Profile: profile}); err != nil {
			t.Fatal(err)
		}
		m := openReplica(t, p.Store, engine.Options{PollInterval: -1}).Latest()
		defer m.Close()
		for id := 50; id < 1000; id += 50 {
			one(t, m, fmt.Sprintf("SELECT length(x) FROM t WHERE id = %d", id))
		}
		return m.Status().Requests.Get
	}
	all := make([]uint32, 1500)
	for i := range all {
		all[i] = uint32(i + 1)
	}
	without := lookups([]uint32{})
	if with := lookups(all); with >= without {
		t.Errorf("%d gets with a profile, %d without", with, without)
	}
}

// A sidecar that is damaged, or of other files, makes opening slower and nothing else.
func TestReplica_SidecarOfNoUse(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(p *primary.Primary) string{
		"damaged": func(p *primary.Primary) string { return "no sidecar at all" },
		"of another replica": func(p *primary.Primary) string {
			other := chained(t, 1)
			if _, err := sidecar.Update(t.Context(), other.Store, sidecar.Options{}); err != nil {
				t.Fatal(err)
			}
			part, err := other.Store.ReadPrefix(t.Context(), objstore.Ref{Key: sidecar.Key}, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			return string(part.Data)
		},
	} {
		p := chained(t, 8)
		if _, err := p.Store.Put(t.Context(), sidecar.Key, strings.NewReader(spoil(p)), objstore.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		if r := first(t, p.Store); r.Get < 9 {
			t.Errorf("%s: %d gets; something of it was used", name, r.Get)
		}
	}
}
