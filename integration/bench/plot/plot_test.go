package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// report is what bench -json writes, cut short.
const report = `{"before":{"OS":"linux","Arch":"amd64","Go":"go1.26","Cores":2,"Time":"2026-11-21T10:00:00Z"},
"rows":[],"median":[
 {"measure":"open","db":"small","latency":25000000,"case":"process=new","figures":[{"name":"time","unit":"ms","value":1}]},
 {"measure":"peers","db":"small","latency":25000000,"case":"what=first/how=litefs-s3","figures":[{"name":"time","value":120},{"name":"GETs","value":46}]},
 {"measure":"peers","db":"small","latency":25000000,"case":"what=first/how=litestream","figures":[{"name":"time","value":3588},{"name":"GETs","value":88}]},
 {"measure":"peers","db":"small","latency":25000000,"case":"what=first/how=local","figures":[{"name":"time","value":0.74},{"name":"GETs","value":0}]},
 {"measure":"peers","db":"small","latency":25000000,"case":"what=points/how=litefs-s3","figures":[{"name":"time","value":7000},{"name":"p50","value":32},{"name":"GETs each","value":1.14}]}
]}`

func TestPlot(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in := filepath.Join(dir, "in.json")
	if err := os.WriteFile(in, []byte(report), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := run([]string{"-in", in, "-out", dir}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]string{ // the figures that stand beside bars, from the top
		"peers-small-25ms-time.svg":     {"120", "3588", "0.74", "32"},
		"peers-small-25ms-requests.svg": {"46", "88", "1.1"},
	} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		bars, labels := elements(t, data)
		if len(bars) != len(want) {
			t.Fatalf("%s: %d bars, want %d", name, len(bars), len(want))
		}
		at := 0
		for _, l := range labels {
			if at < len(want) && l == want[at] {
				at++
			}
		}
		if at != len(want) {
			t.Errorf("%s: figures %q are not among %q in that order", name, want, labels)
		}
		if bars[1] <= bars[0] {
			t.Errorf("%s: the bar of the larger figure is no longer than the other: %v", name, bars)
		}
	}
}

// elements returns the widths of the bars, which have titles, and all texts.
func elements(t *testing.T, svg []byte) (bars []int, texts []string) {
	t.Helper()
	width, inText := 0, false
	for d := xml.NewDecoder(bytes.NewReader(svg)); ; {
		token, err := d.Token()
		if err == io.EOF {
			return bars, texts
		}
		if err != nil {
			t.Fatalf("not XML: %v", err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			inText = e.Name.Local == "text"
			if e.Name.Local == "title" {
				bars = append(bars, width)
			}
			for _, a := range e.Attr {
				if a.Name.Local == "width" {
					width, _ = strconv.Atoi(a.Value)
				}
			}
		case xml.CharData:
			if inText && strings.TrimSpace(string(e)) != "" {
				texts = append(texts, string(e))
			}
		}
	}
}

func TestPlot_BadInput(t *testing.T) {
	t.Parallel()
	if err := run([]string{"-in", filepath.Join(t.TempDir(), "none.json")}); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "-only peers") {
		t.Errorf("no file: got %v", err)
	}
	for text, want := range map[string]string{"x": "not what bench -json writes", `{"median":[]}`: "no measurement of peers"} {
		in := filepath.Join(t.TempDir(), "in.json")
		if err := os.WriteFile(in, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := run([]string{"-in", in}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}
