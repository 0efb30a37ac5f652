package sidecar

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
)

// Store is what Update asks of a replica.
type Store interface {
	index.Reader
	objstore.Putter
}

// Options of Update. The zero value works.
type Options struct {
	// Profile are the pages that a process reads first. Nil keeps those that the sidecar has.
	Profile []uint32
	// Now is the clock. Nil means time.Now.
	Now func() time.Time
	// Log gets one line per event an operator would retell. Nil discards.
	Log *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Report is what Update has stored.
type Report struct {
	TXID    index.TXID `json:"txid"`
	Size    int64      `json:"size"`    // bytes
	Tables  int        `json:"tables"`  // files whose page table is in it
	Files   int        `json:"files"`   // that the newest state is read from
	Packed  int64      `json:"packed"`  // bytes of upper pages
	Profile int        `json:"profile"` // pages
}

// attempts is how often an update begins anew because files went, or another one was faster.
const attempts = 4

// Update makes the sidecar of the newest state and puts it in the place of the one that is there. It opens the replica from its
// files, whatever a sidecar says. Several at once do no harm: the one that has seen less gives way.
func Update(ctx context.Context, store Store, opts Options) (_ *Report, err error) {
	opts = opts.withDefaults()
	for range attempts {
		var r *Report
		if r, err = update(ctx, store, opts); err == nil {
			opts.Log.LogAttrs(ctx, slog.LevelInfo, "sidecar written", slog.String("txid", r.TXID.String()), slog.Int64("bytes", r.Size))
			return r, nil
		}
		if !errors.Is(err, objstore.ErrChanged) && !errors.Is(err, objstore.ErrExists) && !errors.Is(err, objstore.ErrNotFound) {
			break
		}
	}
	return nil, fmt.Errorf("%s was not written: %w", Key, err)
}

func update(ctx context.Context, store Store, opts Options) (*Report, error) {
	old, etag, err := read(ctx, store) // before the files: what is put must not be older than what it replaces
	if err != nil && !errors.Is(err, objstore.ErrNotFound) && !errors.Is(err, ErrDamaged) {
		return nil, err
	}
	tracker, err := index.Open(ctx, store, index.Options{PollInterval: -1})
	if err != nil {
		return nil, err
	}
	s, err := build(ctx, store, tracker.View(), opts)
	if err != nil {
		return nil, err
	}
	if opts.Profile == nil && old != nil {
		s.Profile = old.Profile
	}
	data := s.Encode()
	stored, err := Decode(data)
	if err != nil {
		return nil, fmt.Errorf("what was made cannot be read, and is not stored: %w", err)
	}
	if _, err := store.Put(ctx, Key, bytes.NewReader(data), objstore.PutOptions{OnlyCreate: etag == "", IfMatch: etag}); err != nil {
		return nil, err
	}
	r := &Report{TXID: s.TXID, Size: int64(len(data)), Tables: len(stored.Layouts), Files: len(s.Layouts), Profile: len(s.Profile)}
	for _, b := range s.Blobs {
		r.Packed += int64(len(b.Data))
	}
	return r, nil
}

// build makes the sidecar of a View that was opened from its files.
func build(ctx context.Context, store objstore.RangeReader, v *index.View, opts Options) (*Sidecar, error) {
	s := &Sidecar{TXID: v.TXID, Made: opts.Now(), Profile: tidy(opts.Profile, v.Commit)}
	for _, l := range v.Layouts() {
		if l.File().ETag == "" {
			return nil, fmt.Errorf("the store has no ETags, so nobody could tell later whether %s is the same file: %w", l.File(), errors.ErrUnsupported)
		}
		s.Layouts = append(s.Layouts, l)
	}
	var err error
	s.Blobs, err = upperPages(ctx, store, v, maxBlobs)
	return s, err
}

// tidy sorts page numbers, each once, and leaves out what is too much.
func tidy(pgnos []uint32, commit uint32) []uint32 {
	pgnos = slices.Clone(pgnos[:min(len(pgnos), maxProfile)])
	slices.Sort(pgnos)
	pgnos = slices.Compact(pgnos)
	return slices.DeleteFunc(pgnos, func(pgno uint32) bool { return pgno == 0 || pgno > commit })
}
