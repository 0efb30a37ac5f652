package main

import (
	"strings"
	"testing"
	"time"

	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/fixture"
	"github.com/litefs-s3/litefs-s3/writer/lease"
)

func TestLease(t *testing.T) {
	t.Parallel()
	store := levels(t)
	now := fixture.At(25)
	h := &host{store: store, now: now}
	h.expect(t, exitOK, "never had a lease", "", "lease", "show", replicaURL)

	opts := lease.Options{Owner: "web-1:7", TTL: 30 * time.Second, Now: func() time.Time { return now }, Nonce: "n"}
	if _, err := lease.Acquire(t.Context(), store, opts); err != nil {
		t.Fatal(err)
	}
	h.expect(t, exitOK, "web-1:7 writes to s3://bucket/app; its lease (generation 1) is good for another 30s", "", "lease", "show", replicaURL)
	h.expect(t, exitOK, `"state": "held"`, "", "lease", "show", replicaURL, "--json")
	h.now = now.Add(time.Minute)
	h.expect(t, exitOK, "expired 30s ago", "", "lease", "show", replicaURL)
	h.now = now
	h.expect(t, exitOK, "the lease of web-1:7 is broken", "", "lease", "break", replicaURL)
	h.expect(t, exitOK, "nobody: web-1:7 gave the lease back (generation 2)", "", "lease", "show", replicaURL)
	h.expect(t, exitUsage, "", `unknown command "shwo"; did you mean "show"`, "lease", "shwo")
	if strings.Contains(h.out.String(), "endpoint") {
		t.Error("the query of the URL is shown")
	}
}
