package prommetrics_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.yaml.in/yaml/v3"

	"github.com/litefs-s3/litefs-s3/prommetrics"
)

const docs = "../docs/"

// described are the metrics that the collector may give, with their labels.
func described() map[string][]string {
	ch := make(chan *prometheus.Desc)
	go func() {
		prommetrics.New().Describe(ch)
		close(ch)
	}()
	all := map[string][]string{}
	for d := range ch {
		m := regexp.MustCompile(`fqName: "(\w+)".*variableLabels: \{(.*)\}`).FindStringSubmatch(d.String())
		all[m[1]] = regexp.MustCompile(`\w+`).FindAllString(m[2], -1)
	}
	return all
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(docs + name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

var (
	metric  = regexp.MustCompile(`\blitefs_s3_\w+`)
	matcher = regexp.MustCompile(`\b(litefs_s3_\w+)\{([^}]*)\}`)
	label   = regexp.MustCompile(`(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"`)
	grouped = regexp.MustCompile(`\bby \(([^)]*)\)`)
)

// added are the labels that Prometheus or a histogram adds.
var added = []string{"instance", "job", "le"}

// checkExpr returns what is wrong with an expression: metrics and labels that there are not, brackets that do not match.
func checkExpr(expr string, known map[string][]string) error {
	names := metric.FindAllString(expr, -1)
	if len(names) == 0 {
		return errors.New("it has no metric")
	}
	labels := slices.Clone(added)
	for _, name := range names {
		have, ok := known[base(name, known)]
		if !ok {
			return fmt.Errorf("there is no metric %s", name)
		}
		labels = append(labels, have...)
	}
	for _, m := range matcher.FindAllStringSubmatch(expr, -1) {
		have := append(slices.Clone(known[base(m[1], known)]), added...)
		for _, l := range label.FindAllStringSubmatch(m[2], -1) {
			if !slices.Contains(have, l[1]) {
				return fmt.Errorf("%s has no label %s", m[1], l[1])
			}
		}
	}
	for _, m := range grouped.FindAllStringSubmatch(expr, -1) {
		for l := range strings.SplitSeq(m[1], ",") {
			if !slices.Contains(labels, strings.TrimSpace(l)) {
				return fmt.Errorf("nothing in it has the label %s", l)
			}
		}
	}
	return balanced(expr)
}

// base is the metric that a series of a histogram belongs to.
func base(name string, known map[string][]string) string {
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if b, ok := strings.CutSuffix(name, suffix); ok && known[b] != nil {
			return b
		}
	}
	return name
}

func balanced(expr string) error {
	var open []rune
	closes := map[rune]rune{')': '(', ']': '[', '}': '{'}
	for _, r := range regexp.MustCompile(`"[^"]*"`).ReplaceAllString(expr, `""`) {
		switch r {
		case '(', '[', '{':
			open = append(open, r)
		case ')', ']', '}':
			if len(open) == 0 || open[len(open)-1] != closes[r] {
				return fmt.Errorf("%c closes nothing", r)
			}
			open = open[:len(open)-1]
		}
	}
	if len(open) > 0 {
		return fmt.Errorf("%c is not closed", open[len(open)-1])
	}
	return nil
}

// The check finds what it is for.
func TestCheckExpr(t *testing.T) {
	t.Parallel()
	known := described()
	if len(known) < 50 {
		t.Fatalf("the collector describes %d metrics", len(known))
	}
	for expr, want := range map[string]string{
		`rate(litefs_s3_polls_total{replica="a"}[5m])`:                  "",
		`sum by (le, kind) (litefs_s3_request_duration_seconds_bucket)`: "",
		`litefs_s3_pols_total`:                                          "no metric",
		`up == 0`:                                                       "has no metric",
		`litefs_s3_polls_total{outcome="ok"}`:                           "no label outcome",
		`sum by (outcome) (litefs_s3_polls_total)`:                      "has the label outcome",
		`rate(litefs_s3_polls_total[5m)`:                                "closes nothing",
		`(litefs_s3_polls_total`:                                        "not closed",
	} {
		err := checkExpr(expr, known)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", expr, err, want)
		}
	}
}

// rule is an alert as Prometheus reads it. Unknown fields are errors there, and here.
type rule struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

type rules struct {
	Groups []struct {
		Name  string `yaml:"name"`
		Rules []rule `yaml:"rules"`
	} `yaml:"groups"`
}

// What lost data elsewhere has an alert, and each alert is about metrics that there are.
func TestAlertRules(t *testing.T) {
	t.Parallel()
	var file rules
	dec := yaml.NewDecoder(strings.NewReader(string(read(t, "monitoring/alerts.yaml"))))
	dec.KnownFields(true)
	if err := dec.Decode(&file); err != nil {
		t.Fatal(err)
	}
	known, seen := described(), map[string]bool{}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			if seen[r.Alert] {
				t.Errorf("%s is there twice", r.Alert)
			}
			seen[r.Alert] = true
			checkRule(t, r, known)
		}
	}
	for _, name := range []string{"FollowerStuck", "FollowerBehind", "UploadFailing", "LeaseLost", "LevelTooOld", "VerifyFailed", "WriterConflict"} {
		if !seen["LitefsS3"+name] {
			t.Errorf("there is no alert LitefsS3%s", name)
		}
	}
	guide := string(read(t, "monitoring.md"))
	for name := range seen {
		if !strings.Contains(guide, name) {
			t.Errorf("monitoring.md does not say what to do about %s", name)
		}
	}
}

func checkRule(t *testing.T, r rule, known map[string][]string) {
	t.Helper()
	if err := checkExpr(r.Expr, known); err != nil {
		t.Errorf("%s: %v", r.Alert, err)
	}
	if _, err := time.ParseDuration(r.For); r.For != "" && err != nil {
		t.Errorf("%s: for: %v", r.Alert, err)
	}
	if s := r.Labels["severity"]; s != "critical" && s != "warning" {
		t.Errorf("%s has the severity %q", r.Alert, s)
	}
	for _, name := range []string{"summary", "description"} {
		if r.Annotations[name] == "" {
			t.Errorf("%s has no %s", r.Alert, name)
		}
	}
}

// panel is the part of a Grafana panel that has to be right for it to show something.
type panel struct {
	ID      int    `json:"id"`
	Type    string `json:"type"`
	Title   string `json:"title"`
	GridPos struct{ H, W, X, Y int }
	Targets []struct{ RefID, Expr string }
}

func TestDashboard(t *testing.T) {
	t.Parallel()
	var d struct {
		UID, Title    string
		SchemaVersion int
		Panels        []panel
		Templating    struct {
			List []struct{ Name, Type, Definition string }
		}
	}
	if err := json.Unmarshal(read(t, "monitoring/dashboard.json"), &d); err != nil {
		t.Fatal(err)
	}
	if d.UID == "" || d.Title == "" || d.SchemaVersion < 36 || len(d.Panels) < 20 {
		t.Errorf("uid %q, title %q, schema %d, %d panels", d.UID, d.Title, d.SchemaVersion, len(d.Panels))
	}
	known, variables := described(), []string{"__rate_interval"}
	for _, v := range d.Templating.List {
		variables = append(variables, v.Name)
		if v.Type == "query" && metric.FindString(v.Definition) == "" {
			t.Errorf("variable %s asks for %q", v.Name, v.Definition)
		}
	}
	shown, ids := map[string]bool{}, map[int]bool{}
	for i, p := range d.Panels {
		if ids[p.ID] || p.Title == "" || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %d %q: number used twice, no title, or wider than the page", p.ID, p.Title)
		}
		ids[p.ID] = true
		for _, q := range d.Panels[:i] {
			if overlap(p, q) {
				t.Errorf("panels %q and %q overlap", p.Title, q.Title)
			}
		}
		checkTargets(t, p, known, variables, shown)
	}
	for name := range known {
		if !shown[name] && !unshown[name] {
			t.Errorf("no panel shows %s", name)
		}
	}
}

// unshown are metrics for which a panel would say little.
var unshown = map[string]bool{
	"litefs_s3_opened_timestamp_seconds": true, "litefs_s3_database_bytes": true, "litefs_s3_page_table_bytes": true,
	"litefs_s3_txid": true, "litefs_s3_writer_durable_txid": true, "litefs_s3_lease_generation": true, "litefs_s3_rehomings_total": true,
	"litefs_s3_hydration_present_pages": true, "litefs_s3_hydration_wanted_pages": true, "litefs_s3_writer_upload_bytes_total": true,
	"litefs_s3_writer_last_upload_timestamp_seconds": true, "litefs_s3_compaction_last_success_timestamp_seconds": true,
}

func checkTargets(t *testing.T, p panel, known map[string][]string, variables []string, shown map[string]bool) {
	t.Helper()
	if p.Type != "row" && len(p.Targets) == 0 {
		t.Errorf("panel %q shows nothing", p.Title)
	}
	for _, target := range p.Targets {
		if err := checkExpr(target.Expr, known); err != nil || target.RefID == "" {
			t.Errorf("panel %q, query %q: %v", p.Title, target.RefID, err)
		}
		for _, name := range metric.FindAllString(target.Expr, -1) {
			shown[base(name, known)] = true
		}
		for _, v := range regexp.MustCompile(`\$(\w+)`).FindAllStringSubmatch(target.Expr, -1) {
			if !slices.Contains(variables, v[1]) {
				t.Errorf("panel %q uses the variable %s, which is not defined", p.Title, v[1])
			}
		}
	}
}

func overlap(p, q panel) bool {
	a, b := p.GridPos, q.GridPos
	return a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H
}

// The guide lists every metric, and none that there is not.
func TestGuide(t *testing.T) {
	t.Parallel()
	guide := string(read(t, "monitoring.md"))
	known := described()
	for name := range known {
		if !strings.Contains(guide, "`"+name+"`") {
			t.Errorf("monitoring.md does not tell of %s", name)
		}
	}
	for _, name := range metric.FindAllString(guide, -1) {
		if known[base(name, known)] == nil && !strings.HasSuffix(name, "_") && name != "litefs_s3_databases" && !strings.HasPrefix(name, "litefs_s3_cache") {
			t.Errorf("monitoring.md tells of %s, which there is not", name)
		}
	}
}
