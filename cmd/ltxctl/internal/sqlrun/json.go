package sqlrun

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// jsonWriter writes one array of objects for each statement. Integers keep all their digits, reals read back as the same
// number, a blob is base64, and columns of the same name get numbers: id, id_2.
type jsonWriter struct {
	w    *bufio.Writer
	keys []string // quoted, with their colon
	rows int
}

func newJSON(w io.Writer) *jsonWriter {
	return &jsonWriter{w: bufio.NewWriterSize(w, 64<<10)}
}

func (j *jsonWriter) Begin(columns []string) error {
	j.rows, j.keys = 0, nil
	seen := map[string]bool{}
	for _, name := range columns {
		unique := name
		for n := 2; seen[unique]; n++ {
			unique = fmt.Sprintf("%s_%d", name, n)
		}
		seen[unique] = true
		j.keys = append(j.keys, quote(unique)+":")
	}
	_, err := j.w.WriteString("[")
	return err
}

func (j *jsonWriter) Row(row []Value) error {
	if j.rows++; j.rows > 1 {
		j.w.WriteString(",\n")
	}
	for i, v := range row {
		j.w.WriteByte("{,"[min(i, 1)])
		j.w.WriteString(j.keys[i])
		j.w.WriteString(jsonOf(v))
	}
	return j.w.WriteByte('}')
}

// MarshalJSON writes the value as the json format does.
func (v Value) MarshalJSON() ([]byte, error) { return []byte(jsonOf(v)), nil }

func jsonOf(v Value) string {
	switch v.Kind {
	case Integer:
		return v.Text()
	case Real:
		return v.number()
	case Text:
		return quote(string(v.Bytes))
	case Blob:
		return `"` + base64.StdEncoding.EncodeToString(v.Bytes) + `"`
	}
	return "null"
}

// quote returns text as JSON; what is no UTF-8 becomes U+FFFD.
func quote(text string) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.Encode(text) // a string always can be
	return strings.TrimSuffix(b.String(), "\n")
}

func (j *jsonWriter) End() error {
	j.w.WriteString("]\n")
	return j.w.Flush()
}

// Abort leaves the array open: half an answer must not look whole.
func (j *jsonWriter) Abort() error {
	j.w.WriteByte('\n')
	return j.w.Flush()
}
