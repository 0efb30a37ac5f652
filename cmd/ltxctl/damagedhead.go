package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/litefs-s3/litefs-s3/bulk"
	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/inspect"
	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/pitr"
)

// openReplicaAt opens the replica at a moment. A past one can be opened although the newest one is damaged: that is when it is needed.
func (c *cli) openReplicaAt(ctx context.Context, url string, m moment) (*replica, *index.View, error) {
	r, err := c.openReplica(ctx, url)
	switch {
	case err == nil:
		v, err := r.at(ctx, m)
		return r, v, err
	case m.latest() || !errors.Is(err, index.ErrCorrupt):
		return nil, nil, err
	}
	r, v, perr := c.openPast(ctx, url, m)
	if isNoMoment(perr) {
		return nil, nil, perr
	}
	if perr != nil {
		return nil, nil, err // what is wrong with the newest state is wrong with this one too, or hides it
	}
	return r, v, nil
}

// openPast opens a past moment as if nothing had been written since.
func (c *cli) openPast(ctx context.Context, url string, m moment) (*replica, *index.View, error) {
	store, metrics, err := c.open(ctx, url)
	if err != nil {
		return nil, nil, err
	}
	txid := m.txid
	if txid == 0 {
		catalog, err := index.ListAll(ctx, store)
		if err != nil {
			return nil, nil, err
		}
		if txid, err = pitr.Locate(ctx, newHeaderTimes(store, catalog.Files), m.target.At); err != nil {
			return nil, nil, err
		}
	}
	until := &untilStore{Store: store, last: txid}
	held := new(bulk.Held)
	tracker, err := index.Open(ctx, until, index.Options{PollInterval: -1, Log: c.logger(), OnLoad: held.Keep})
	if err != nil {
		return nil, nil, err
	}
	v := tracker.View()
	if v.TXID != txid {
		return nil, nil, &index.ReachError{TXID: txid, First: v.TXID, Last: v.TXID}
	}
	return &replica{until, metrics, tracker, held}, v, nil
}

// untilStore is a store without the files that hold later transactions.
type untilStore struct {
	objstore.Store
	last index.TXID
}

// List implements objstore.Lister.
func (s *untilStore) List(ctx context.Context, prefix, startAfter string) (objstore.Page, error) {
	page, err := s.Store.List(ctx, prefix, startAfter)
	if err != nil {
		return page, err
	}
	if n := len(page.Objects); page.More && n > 0 && s.isLater(page.Objects[n-1]) {
		// The next page starts after the last key of this one, which must not be left out: go on for the caller.
		next, err := s.List(ctx, prefix, page.Objects[n-1].Key)
		if err != nil {
			return next, err
		}
		return objstore.Page{Objects: append(s.kept(page.Objects), next.Objects...), More: next.More}, nil
	}
	page.Objects = s.kept(page.Objects)
	return page, nil
}

func (s *untilStore) kept(objects []objstore.Info) []objstore.Info {
	return slices.DeleteFunc(slices.Clone(objects), s.isLater)
}

// isLater reports whether an object is a file that goes beyond the last transaction.
func (s *untilStore) isLater(o objstore.Info) bool {
	_, _, last, ok := index.ParseKey(o.Key)
	return ok && last > s.last
}

// headerTimes are the moments of a listing, and their times by the headers of files: a pitr.Timeline that needs no replica that opens.
type headerTimes struct {
	store objstore.RangeReader
	txids []index.TXID
	ends  map[index.TXID]index.File // a file that ends there, of the lowest level: snapshots are dated otherwise
}

func newHeaderTimes(store objstore.RangeReader, files []index.File) *headerTimes {
	h := &headerTimes{store: store, txids: index.NewChains(files).TXIDs(), ends: map[index.TXID]index.File{}}
	for _, f := range files {
		if best, ok := h.ends[f.Max]; !ok || f.Level < best.Level {
			h.ends[f.Max] = f
		}
	}
	return h
}

// TXIDs implements pitr.Timeline.
func (h *headerTimes) TXIDs() []index.TXID { return h.txids }

// Known implements pitr.Timeline.
func (h *headerTimes) Known(index.TXID) (time.Time, bool) { return time.Time{}, false }

// Guess implements pitr.Timeline.
func (h *headerTimes) Guess(txid index.TXID) time.Time { return h.ends[txid].Modified }

// Time implements pitr.Timeline.
func (h *headerTimes) Time(ctx context.Context, txid index.TXID) (time.Time, error) {
	file := &inspect.File{File: h.ends[txid]}
	if err := inspect.Headers(ctx, h.store, []*inspect.File{file}); err != nil {
		return time.Time{}, err
	}
	return file.Time(), nil
}
