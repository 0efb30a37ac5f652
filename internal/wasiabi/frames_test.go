package wasiabi

import (
	"errors"
	"math"
	"reflect"
	"testing"
)

func TestQuery(t *testing.T) {
	t.Parallel()
	args := []Argument{
		{"", nil},
		{"a", int64(math.MinInt64)},
		{"", 1.5},
		{"ä", "text"},
		{"", ""},
		{"", []byte{}},
		{"", []byte{0, 255}},
	}
	b, err := AppendQuery(nil, "SELECT 1", args)
	if err != nil {
		t.Fatal(err)
	}
	sql, got, err := ParseQuery(b)
	if err != nil || sql != "SELECT 1" || !reflect.DeepEqual(got, args) {
		t.Errorf("%q %v %v", sql, got, err)
	}
	for n := range b {
		if _, _, err := ParseQuery(b[:n]); !errors.Is(err, ErrFormat) {
			t.Errorf("the first %d bytes: %v", n, err)
		}
	}
	if _, err := AppendQuery(nil, "", []Argument{{"", 7}}); err == nil {
		t.Error("an int is taken")
	}
}

func TestColumns(t *testing.T) {
	t.Parallel()
	names := []string{"a", "", "ä"}
	b := AppendColumns(nil, names)
	if got, err := ParseColumns(b); err != nil || !reflect.DeepEqual(got, names) {
		t.Errorf("%q %v", got, err)
	}
	for n := range b {
		if _, err := ParseColumns(b[:n]); !errors.Is(err, ErrFormat) {
			t.Errorf("the first %d bytes: %v", n, err)
		}
	}
}

func TestReply(t *testing.T) {
	t.Parallel()
	r := Reply{Off: 7, Size: 9, ETag: "e", Objects: []Object{{Key: "k", Size: 1, Modified: 2}}, More: true}
	b, err := AppendReply(nil, r, []byte("data"))
	if err != nil {
		t.Fatal(err)
	}
	got, data, err := ParseReply(b)
	if err != nil || string(data) != "data" || !reflect.DeepEqual(got, r) {
		t.Errorf("%v %q %v", got, data, err)
	}
}

// FuzzParse: whatever a module says, it is an error or a message.
func FuzzParse(f *testing.F) {
	b, err := AppendQuery(nil, "SELECT 1", []Argument{{"a", int64(1)}, {"", "x"}, {"", 1.5}, {"", nil}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(AppendColumns(nil, []string{"a"}))
	f.Fuzz(func(_ *testing.T, b []byte) {
		ParseQuery(b)   //nolint:errcheck // only that it returns
		ParseColumns(b) //nolint:errcheck // the same
		ParseReply(b)   //nolint:errcheck // the same
		CutValue(b)     //nolint:errcheck // the same
	})
}
