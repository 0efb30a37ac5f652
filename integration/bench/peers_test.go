package main

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/litefs-s3/litefs-s3/integration/servers"
)

// TestPeers runs the comparison over a database of 3,000 posts. That all peers give the same answers is checked by the
// measurement itself.
func TestPeers(t *testing.T) {
	if testing.Short() {
		t.Skip("needs MinIO, and Litestream's extension built from its module: go run ./integration/servers/prebuild -peers")
	}
	hows := []string{"local", "local-c", "litefs-s3", "litestream"}
	if _, err := servers.Build(t.Context(), "vfshost"); errors.Is(err, servers.ErrNoCompiler) {
		hows = []string{"local", "litefs-s3"}
	}
	f, err := openFixture(t.Context(), t.TempDir(), datasets(3000, 0)[:1], t.Output())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.close(); err != nil {
			t.Error(err)
		}
	})
	p := plan{only: []string{"peers"}, databases: []string{"small"}, latencies: []time.Duration{time.Millisecond}, count: 1, tiny: true}
	rows, err := p.run(t.Context(), f, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	find := func(name string) *row {
		i := slices.IndexFunc(rows, func(r row) bool { return r.Case == name })
		if i < 0 {
			t.Fatalf("%s was not measured", name)
		}
		return &rows[i]
	}
	for _, what := range []string{"first", "points", "join", "scan-part", "warm"} {
		for _, how := range hows {
			r := find("what=" + what + "/how=" + how)
			gets, _ := r.figure("GETs")
			if remote := !strings.HasPrefix(how, "local"); remote && what == "first" && gets == 0 || !remote && gets != 0 {
				t.Errorf("%s made %g GETs", r.Case, gets)
			}
		}
	}
	for _, what := range []string{"first", "points", "join", "scan-part", "scan"} {
		if took, _ := find("what=" + what + "/how=raw").figure("time"); took < 1 {
			t.Errorf("plain GETs of %s took %g ms, less than one round trip", what, took)
		}
	}
}
