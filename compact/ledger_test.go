package compact

import (
	"encoding/json"
	"testing"

	"github.com/litefs-s3/litefs-s3/index"
)

// FuzzLedger: whatever the record says, no file counts as read back that no span of it holds, and what is noted in it is there afterwards and
// can be written and read again.
func FuzzLedger(f *testing.F) {
	f.Add([]byte(`{"owner":"a","at":"2026-01-02T03:04:05Z","levels":{"1":{"wrote":9,"checked":[{"min":1,"max":4},{"min":5,"max":9}]},"9":{"checked":[{"min":1,"max":9}]}}}`), 1, uint64(5), uint64(9))
	f.Add([]byte(`{"levels":{"1":{"wrote":18446744073709551615,"checked":[{"min":9,"max":18446744073709551615}]}}}`), 1, uint64(0), uint64(3))
	f.Add([]byte(`{"levels":null}`), 9, uint64(1), uint64(1))
	f.Add([]byte{}, 0, uint64(1), uint64(1))
	f.Fuzz(func(t *testing.T, data []byte, level int, lo, hi uint64) {
		file := &index.File{Level: level, Min: index.TXID(lo), Max: index.TXID(hi)}
		if lo == 0 || lo > hi || level < 0 || level > index.MaxLevel {
			return // no listing has it
		}
		l := decodeLedger(data)
		held := false
		for _, s := range l.Levels[level].Checked {
			held = held || s.Min <= file.Min && file.Max <= s.Max
		}
		if l.isChecked(file) && !held {
			t.Fatalf("%s counts as read back: %+v", file, l.Levels[level])
		}
		l.addChecked(file)
		l.wrote(level, file.Max)
		if !l.isChecked(file) || l.Levels[level].Wrote < file.Max {
			t.Fatalf("%s was noted and is not there: %+v", file, l.Levels[level])
		}
		written, err := json.Marshal(l)
		if err != nil {
			return // a time that JSON has no form for
		}
		if len(written) <= maxLedger && !decodeLedger(written).isChecked(file) {
			t.Fatalf("%s is not there when the record is read again", file)
		}
	})
}
