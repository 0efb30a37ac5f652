package litefss3_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/integration/primary"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

// Every pragma of the README answers one text, also where there is nothing to tell, or says by its name why not.
func TestPragma_EachOfTheREADME(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile("litestream_[a-z_]+[a-z]").FindAllString(string(text), -1)
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) < 20 {
		t.Fatalf("the README has %v", names)
	}
	p := primary.New(t, new(memstore.Store), primary.Options{})
	p.Exec("CREATE TABLE t(x)")
	p.Sync()
	db := open(t, p.Store, func(c *litefss3.Config) { c.ReadOnly = true })
	for _, name := range names {
		if name == "litestream_wait_txid" { // wants a value
			continue
		}
		for _, as := range []string{name, strings.Replace(name, "litestream_", "litevfs_", 1)} {
			var answer string
			if err := db.QueryRow("PRAGMA " + as).Scan(&answer); err != nil && !strings.Contains(err.Error(), as) {
				t.Errorf("%s: %v", as, err)
			}
			if strings.ContainsRune(answer, 0) {
				t.Errorf("%s: %q", as, answer)
			}
		}
	}
	if got := value(t, db, "PRAGMA litestream_hydration_file"); got != "" {
		t.Errorf("there is no local copy, and its file is %q", got)
	}
}

// Names of LiteVFS's that are others here lead there.
func TestPragma_LiteVFS(t *testing.T) {
	t.Parallel()
	p := primary.New(t, new(memstore.Store), primary.Options{})
	p.Exec("CREATE TABLE t(x)")
	p.Sync()
	db := open(t, p.Store)
	value(t, db, "PRAGMA litevfs_cache_sync_period = 7")
	if got := value(t, db, "PRAGMA litestream_poll_interval"); got != "7s" {
		t.Errorf("poll interval %s, want 7s", got)
	}
	for name, want := range map[string]string{
		"litevfs_max_cached_pages": "litestream_cache_size", "litevfs_min_available_space": "hydration_max_size", "litevfs_cache_db": "litestream_hydrate",
	} {
		_, err := db.Exec("PRAGMA " + name)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v, want %s in it", name, err, want)
		}
	}
}
