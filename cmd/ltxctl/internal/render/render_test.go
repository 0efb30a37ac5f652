package render_test

import (
	"strings"
	"testing"
	"time"

	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/render"
)

func TestPrintable(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ in, want string }{
		"plain":              {"plain text", "plain text"},
		"other scripts":      {"naïve 日本語 👍🏽", "naïve 日本語 👍🏽"},
		"lines":              {"a\nb\r\n\tc", `a\nb\r\n\tc`},
		"an escape sequence": {"\x1b[2Jgone", `\x1b[2Jgone`},
		"a C1 control":       {"\u009bm", `\x9bm`},
		"no UTF-8":           {"\xff\xfe", `\xff\xfe`},
		"text turned round":  {"a\u202eb", `a\u202eb`},
		"replacement":        {"\ufffd", "\ufffd"},
		"nothing":            {"", ""},
	} {
		if got := render.Printable(c.in); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	columns := []render.Column{{Name: "id", Right: true}, {Name: "name"}, {Name: "n", Right: true}}
	rows := [][]string{{"1", "tea", "12"}, {"1000", "日本語の長い名前", "3"}}
	for name, c := range map[string]struct {
		width int
		want  string
	}{
		"as wide as it is": {0, `
  id  name               n
────  ────────────────  ──
   1  tea               12
1000  日本語の長い名前   3
`},
		"cut to the screen": {18, `
  id  name       n
────  ────────  ──
   1  tea       12
1000  日本語…    3
`},
	} {
		var b strings.Builder
		if err := (render.Screen{Width: c.width}).Table(&b, columns, rows); err != nil {
			t.Fatal(err)
		}
		if got := "\n" + b.String(); got != c.want {
			t.Errorf("%s: got %s", name, got)
		}
	}
}

func TestTable_ColoursDoNotChangeTheWidth(t *testing.T) {
	t.Parallel()
	var plain, coloured strings.Builder
	for _, c := range []struct {
		color bool
		to    *strings.Builder
	}{{false, &plain}, {true, &coloured}} {
		s := render.Screen{Color: c.color}
		s.Table(c.to, []render.Column{{Name: "a"}, {Name: "b"}}, [][]string{{s.Paint(render.Bad, "red"), "x"}})
	}
	stripped := strings.NewReplacer("\x1b[31m", "", "\x1b[2m", "", "\x1b[0m", "").Replace(coloured.String())
	if stripped != plain.String() || stripped == coloured.String() {
		t.Errorf("got %q, want %q with colours", coloured.String(), plain.String())
	}
}

func TestTimeline(t *testing.T) {
	t.Parallel()
	at := func(txid uint64) time.Time { return time.Date(2026, 1, 2, 3, 4, int(txid), 0, time.UTC) }
	name := func(txid uint64) string { return strings.Repeat("0", 3) + string(rune('0'+txid/10)) }
	for what, c := range map[string]struct {
		t    render.Timeline
		want string
	}{
		"a usual one": {render.Timeline{
			Rows: []render.TimelineRow{
				{Label: "L9", Files: []render.Range{{Min: 1, Max: 40}}},
				{Label: "L1", Files: []render.Range{{Min: 21, Max: 30}, {Min: 31, Max: 50}, {Min: 51, Max: 60}}},
				{Label: "L0", Files: []render.Range{{Min: 61, Max: 61}, {Min: 62, Max: 80}}},
			}, First: 1, Last: 80,
		}, `
L9 ███████████████████▉
L1           ████▉█████████▉████▉
L0                               ▉████████▉
   ├──────────────────┼───────────────────┤
   0000             0004               0008
   03:04:01       03:04:41         03:05:20
`},
		"with a gap": {render.Timeline{
			Rows:  []render.TimelineRow{{Label: "L0", Files: []render.Range{{Min: 1, Max: 20}, {Min: 31, Max: 40}}}},
			First: 1, Last: 40, Missing: []render.Range{{Min: 21, Max: 30}},
		}, `
L0 ███████████████████▉          █████████▉
!                      ╳╳╳╳╳╳╳╳╳╳
   ├──────────────────┼───────────────────┤
   0000             0002               0004
   03:04:01       03:04:21         03:04:40
`},
		"one transaction": {render.Timeline{
			Rows: []render.TimelineRow{{Label: "L0", Files: []render.Range{{Min: 7, Max: 7}}}}, First: 7, Last: 7,
		}, `
L0 ███████████████████████████████████████▉
   ├──────────────────────────────────────┤
   0000
   03:04:07
`},
	} {
		c.t.Time, c.t.Text = at, name
		var b strings.Builder
		if err := (render.Screen{Width: 44}).Timeline(&b, c.t, ""); err != nil {
			t.Fatal(err)
		}
		if got := "\n" + b.String(); got != c.want {
			t.Errorf("%s: got %s\nwant %s", what, got, c.want)
		}
	}
}

func TestTimeline_OfManyTransactionsShowsEveryGap(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	err := render.Screen{Width: 60}.Timeline(&b, render.Timeline{
		Rows:  []render.TimelineRow{{Label: "L0", Files: []render.Range{{Min: 1, Max: 499_999}, {Min: 500_001, Max: 1_000_000}}}},
		First: 1, Last: 1_000_000, Missing: []render.Range{{Min: 500_000, Max: 500_000}},
		Text: func(uint64) string { return "" }, Time: func(uint64) time.Time { return time.Time{} },
	}, "")
	if err != nil || strings.Count(b.String(), "╳") != 1 {
		t.Errorf("one transaction of a million is missing, and is not seen: %v\n%s", err, b.String())
	}
}

func TestAge(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		at   time.Time
		want string
	}{
		{now.Add(-300 * time.Millisecond), "now"}, {now.Add(-1500 * time.Millisecond), "1.5 seconds ago"}, {now.Add(-time.Minute), "60 seconds ago"},
		{now.Add(-3 * time.Minute), "3 minutes ago"}, {now.Add(-5 * time.Hour), "5 hours ago"}, {now.Add(-72 * time.Hour), "3 days ago"},
		{now.Add(time.Hour), "60 minutes in the future"}, {time.Time{}, "-"},
	} {
		if got := (render.Screen{Now: now}).Age(c.at); got != c.want {
			t.Errorf("%s: got %q, want %q", c.at, got, c.want)
		}
	}
}
