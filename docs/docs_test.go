// Package docs_test holds the documentation against the code: links lead somewhere, and what it tells people to type is known.
package docs_test

import (
	"database/sql"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/integration/primary"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

const root = ".."

// pages are all Markdown files of the project.
func pages(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules" || d.Name() == "dist"):
			return filepath.SkipDir
		case d.IsDir() || filepath.Ext(path) != ".md":
			return nil
		}
		data, err := os.ReadFile(path)
		all[path] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 15 {
		t.Fatalf("only %d pages", len(all))
	}
	return all
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	fenced  = regexp.MustCompile("(?s)```.*?```")
	notSlug = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// anchors are what a page can be linked to at, as GitHub makes them.
func anchors(page string) (all []string) {
	for _, m := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(page, ""), -1) {
		all = append(all, strings.ReplaceAll(notSlug.ReplaceAllString(strings.ToLower(strings.TrimSpace(m[1])), ""), " ", "-"))
	}
	return all
}

func TestLinks(t *testing.T) {
	t.Parallel()
	all, n := pages(t), 0
	for path, page := range all {
		for _, m := range link.FindAllStringSubmatch(fenced.ReplaceAllString(page, ""), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			n++
			file, anchor, _ := strings.Cut(m[1], "#")
			target := filepath.Join(filepath.Dir(path), file)
			if file == "" {
				target = path
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s: %v", path, m[1], err)
			} else if anchor != "" && !slices.Contains(anchors(all[target]), anchor) {
				t.Errorf("%s links to %s: no such heading; there are %v", path, m[1], anchors(all[target]))
			}
		}
	}
	if n < 50 {
		t.Errorf("only %d links were looked at", n)
	}
}

// words are the different words of all pages that an expression finds.
func words(t *testing.T, expr string) []string {
	t.Helper()
	var all []string
	for _, page := range pages(t) {
		for _, m := range regexp.MustCompile(expr).FindAllStringSubmatch(page, -1) {
			all = append(all, m[1])
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// open opens a replica, with parameters beside those that it needs.
func open(t *testing.T, params url.Values) (*sql.DB, error) {
	t.Helper()
	store := new(memstore.Store)
	p := primary.New(t, store, primary.Options{})
	p.Exec("CREATE TABLE t(x)")
	p.Sync()
	if err := litefss3.Register("docs", litefss3.Config{Store: store, ReplicaURL: "mem:docs"}); err != nil {
		t.Fatal(err)
	}
	params.Set("vfs", litefss3.VFS)
	db, err := sql.Open("sqlite3", "file:docs?"+params.Encode())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db, db.Ping()
}

// Every pragma that a page names is one.
func TestPragmas(t *testing.T) {
	names := words(t, "`(?:PRAGMA )?((?:litestream|litevfs)_[a-z_]+)[` =']")
	elsewhere := []string{"litevfs_cache_sync_period", "litevfs_max_cached_pages", "litevfs_min_available_space"} // LiteVFS's; a page says what is here instead
	db, err := open(t, url.Values{})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if slices.Contains(elsewhere, name) || strings.HasSuffix(name, "_") {
			continue
		}
		if _, err := db.Exec("PRAGMA " + name); err != nil && strings.Contains(err.Error(), "no such pragma") {
			t.Errorf("a page names %s: %v", name, err)
		}
	}
	if len(names) < 20 {
		t.Errorf("only %d pragmas were found: %v", len(names), names)
	}
}

// Every parameter that a page gives a value in a URI, or between backquotes, is known, and the value is not refused as malformed.
func TestParameters(t *testing.T) {
	others := []string{ // of SQLite, of programs
		"vfs", "replica_url", "time", "txid", "mode", "_pragma", "_txlock", "limit", "at",
	}
	names := 0
	for _, text := range words(t, "[`&]([a-z_]{4,}=[A-Za-z0-9./:-]+)[`&' ]") {
		name, value, _ := strings.Cut(text, "=")
		if slices.Contains(others, name) {
			continue
		}
		names++
		_, err := open(t, url.Values{name: {value}})
		if err != nil && (strings.Contains(err.Error(), "unknown parameter") || strings.Contains(err.Error(), "parameter "+name)) {
			t.Errorf("a page says %s: %v", text, err)
		}
	}
	if names < 10 {
		t.Errorf("only %d parameters were found", names)
	}
}

// Every variable of the environment that a page names is read somewhere.
func TestEnvironment(t *testing.T) {
	t.Parallel()
	var code strings.Builder
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		data, err := os.ReadFile(path)
		code.Write(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	names := words(t, `\b((?:LITESTREAM|AWS)_[A-Z0-9_]+)\b`)
	bySDK := []string{"AWS_"} // read by the SDK, or a family of names
	for _, name := range names {
		if !strings.Contains(code.String(), name) && !slices.Contains(bySDK, name) {
			t.Errorf("a page names %s, and nothing reads it", name)
		}
	}
	if len(names) < 15 {
		t.Errorf("only %d variables were found: %v", len(names), names)
	}
}

// Each alert leads to a section of the runbook that names it, and the runbook names no others.
func TestRunbookOfAlerts(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("monitoring/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Rules []struct {
				Alert       string
				Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	runbook := pages(t)["../docs/runbook.md"]
	tests, err := os.ReadFile("monitoring/alerts_test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	known := 0
	for _, rule := range file.Groups[0].Rules {
		known++
		_, anchor, _ := strings.Cut(rule.Annotations["runbook_url"], "/docs/runbook.md#")
		if !strings.Contains(section(runbook, anchor), "`"+rule.Alert+"`") {
			t.Errorf("%s leads to #%s of the runbook, which does not name it", rule.Alert, anchor)
		}
		if !strings.Contains(string(tests), `alertname="`+rule.Alert+`"`) {
			t.Errorf("%s has no test in alerts_test.yaml", rule.Alert)
		}
	}
	named := regexp.MustCompile("`LitefsS3[A-Za-z]+`").FindAllString(runbook, -1)
	slices.Sort(named)
	if n := len(slices.Compact(named)); n != known {
		t.Errorf("the runbook names %d alerts, and there are %d", n, known)
	}
}

// section is the text below a heading, up to the next one.
func section(page, anchor string) string {
	at := heading.FindAllStringIndex(page, -1)
	for i, m := range at {
		if !slices.Contains(anchors(page[m[0]:m[1]]), anchor) {
			continue
		}
		if i+1 < len(at) {
			return page[m[1]:at[i+1][0]]
		}
		return page[m[1]:]
	}
	return ""
}
