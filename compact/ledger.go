package compact

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
)

// ledgerKey is the record beside the level directories. No other program reads or writes it.
const ledgerKey = "litefs-s3/compact.json"

// maxLedger bounds what is read of it.
const maxLedger = 64 << 10

// Begin notes in the record that compactors of this kind keep the replica. A run does so too, once it has something to do.
func (c *Compactor) Begin(ctx context.Context) { c.record(ctx, func(*ledger) {}) }

// Began reports whether compactors of this kind keep the replica. It takes one request.
func Began(ctx context.Context, store objstore.RangeReader) (bool, error) {
	_, err := store.ReadPrefix(ctx, objstore.Ref{Key: ledgerKey}, 1)
	if errors.Is(err, objstore.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// ledger remembers, from run to run and between hosts, what compactors of this kind have made and read back. Without it nothing
// goes wrong: what others may have made is then left alone for a while, and files are read again before others go because of them.
type ledger struct {
	Owner  string             `json:"owner"` // who wrote last
	At     time.Time          `json:"at"`
	Levels map[int]ledgerMark `json:"levels"`

	etag string // as it was read; empty when there was none
}

type ledgerMark struct {
	Wrote   index.TXID    `json:"wrote"`   // files of the level up to here are ours, or were about to be
	Checked []checkedSpan `json:"checked"` // files that were read back whole, the latest last
}

// checkedSpan is a stretch of transactions of a level whose files were read back, each following the one before. Snapshots do not
// follow each other: a span is one of them.
type checkedSpan struct {
	Min index.TXID `json:"min"`
	Max index.TXID `json:"max"`
}

// maxSpans bounds the spans that are remembered of a level.
const maxSpans = 32

// ledger reads the record. One that is missing or makes no sense is empty.
func (c *Compactor) ledger(ctx context.Context) (*ledger, error) {
	part, err := c.store.ReadPrefix(ctx, objstore.Ref{Key: ledgerKey}, maxLedger)
	switch {
	case errors.Is(err, objstore.ErrNotFound):
	case err != nil:
		return nil, fmt.Errorf("record of earlier compactions: %w", err)
	}
	l := decodeLedger(part.Data)
	l.etag = part.ETag
	return l, nil
}

func decodeLedger(data []byte) *ledger {
	l := new(ledger)
	if len(data) > 0 && json.Unmarshal(data, l) != nil {
		l = new(ledger)
	}
	if l.Levels == nil {
		l.Levels = map[int]ledgerMark{}
	}
	return l
}

// recordAttempts is how often a change is tried while others change the record as well.
const recordAttempts = 5

// record changes the record. That it cannot be written is no reason to stop.
func (c *Compactor) record(ctx context.Context, change func(*ledger)) {
	err := objstore.ErrChanged
	for attempt := 0; attempt < recordAttempts && (errors.Is(err, objstore.ErrChanged) || errors.Is(err, objstore.ErrExists)); attempt++ {
		err = c.recordOnce(ctx, change)
	}
	if err != nil {
		c.opts.Log.LogAttrs(ctx, slog.LevelWarn, "the record of compactions was not written; the next run checks more than it need",
			slog.String("key", ledgerKey), slog.Any("err", err))
	}
}

func (c *Compactor) recordOnce(ctx context.Context, change func(*ledger)) error {
	l, err := c.ledger(ctx)
	if err != nil {
		return err
	}
	change(l)
	l.Owner, l.At = c.opts.Owner, c.opts.Now().UTC()
	data, err := json.Marshal(l)
	if err != nil {
		return err
	}
	_, err = c.store.Put(ctx, ledgerKey, bytes.NewReader(data), objstore.PutOptions{OnlyCreate: l.etag == "", IfMatch: l.etag})
	return err
}

func (l *ledger) wrote(level int, txid index.TXID) {
	m := l.Levels[level]
	m.Wrote = max(m.Wrote, txid)
	l.Levels[level] = m
}

func (l *ledger) addChecked(f *index.File) {
	if l.isChecked(f) {
		return
	}
	m := l.Levels[f.Level]
	if last := len(m.Checked) - 1; last >= 0 && f.Level != index.SnapshotLevel && m.Checked[last].Max+1 == f.Min {
		m.Checked[last].Max = f.Max
	} else {
		m.Checked = append(m.Checked, checkedSpan{f.Min, f.Max})
	}
	m.Checked = m.Checked[max(0, len(m.Checked)-maxSpans):]
	l.Levels[f.Level] = m
}

func (l *ledger) isChecked(f *index.File) bool {
	for _, s := range l.Levels[f.Level].Checked {
		if s.Min <= f.Min && f.Max <= s.Max && (f.Level != index.SnapshotLevel || f.Max == s.Max) {
			return true
		}
	}
	return false
}

// foreign is how long a file of another compactor keeps this one away.
const foreign = 10 * time.Minute

// deferToOthers empties the plan when another program, a live Litestream, compacts this replica. What it merges is its own
// affair: files of ours in between could make it stop with an error. It is known by recent files of merged levels that no compactor
// of this kind has recorded.
func (d *drafting) deferToOthers(ctx context.Context, catalog *index.Catalog) error {
	if d.c.opts.Force || d.plan.Idle() {
		return nil
	}
	l, err := d.c.ledger(ctx)
	if err != nil {
		return err
	}
	for level := 1; level < index.SnapshotLevel; level++ {
		f := newestOf(catalog.Files, level)
		if f == nil || f.Max <= l.Levels[level].Wrote || d.plan.At.Sub(f.Modified) > foreign {
			continue
		}
		d.plan.Steps, d.plan.Delete = nil, nil
		d.plan.Deferred = fmt.Sprintf("another program compacts this replica: %s, %s ago, is not ours; "+
			"nothing is done until it has made none for %s, or it is forced", f, d.plan.At.Sub(f.Modified).Round(time.Second), foreign)
		return nil
	}
	return nil
}
