package main

import (
	"testing"

	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/fixture"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/sidecar"
)

func sidecarOf(t *testing.T, store objstore.Store) *sidecar.Sidecar {
	t.Helper()
	s, err := sidecar.Read(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestIndex(t *testing.T) {
	t.Parallel()
	store := busyShop(t, 20)
	h := &host{store: store, now: fixture.At(100)}
	h.expect(t, 0, "wrote litefs-s3/sidecar", "", "index", replicaURL)
	if s := sidecarOf(t, store); s.TXID != 20 || len(s.Layouts) == 0 || len(s.Blobs) == 0 || len(s.Profile) != 0 {
		t.Errorf("txid %s, %d tables, %d blobs, profile %v", s.TXID, len(s.Layouts), len(s.Blobs), s.Profile)
	}
	h.expect(t, 0, `"profile": `, "", "index", replicaURL, "--json", "--warm", "SELECT count(*) FROM posts")
	profile := sidecarOf(t, store).Profile
	if len(profile) == 0 {
		t.Error("the query has left no profile")
	}
	h.expect(t, 0, "wrote", "", "index", replicaURL)
	if again := sidecarOf(t, store).Profile; len(again) != len(profile) {
		t.Errorf("the profile had %d pages, and has %d after the sidecar was written again", len(profile), len(again))
	}
	h.expect(t, exitFailed, "", "no such table", "index", replicaURL, "--warm", "SELECT * FROM nowhere")
	h.expect(t, 0, "19\n", "", "query", replicaURL, "SELECT count(*) FROM posts")
	h.expect(t, exitOK, "good", "", "verify", replicaURL, "--deep")
}

// Compact and snapshot leave a sidecar of what they have made, unless they are told not to.
func TestIndex_AfterFilesWereMade(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"compact", replicaURL}, {"snapshot", replicaURL}} {
		store := busyShop(t, 70)
		h := &host{store: store, now: fixture.At(100)}
		h.expect(t, 0, "made", "", append(args, "--no-sidecar")...)
		if _, err := sidecar.Read(t.Context(), store); err == nil {
			t.Errorf("%v: a sidecar although none was wanted", args)
		}
		store = busyShop(t, 70)
		h = &host{store: store, now: fixture.At(100)}
		h.expect(t, 0, "made", "", args...)
		if s := sidecarOf(t, store); s.TXID != 70 {
			t.Errorf("%v: the sidecar is of txid %s", args, s.TXID)
		}
	}
}
