package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/litefs-s3/litefs-s3/bulk"
	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/render"
	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/pitr"
)

// replica is one that is open without SQL: for commands that move its pages.
type replica struct {
	store   objstore.Store
	metrics *objstore.Metrics
	tracker *index.Tracker
	held    *bulk.Held // what opening has brought
}

// openReplica opens the newest state of the replica at url.
func (c *cli) openReplica(ctx context.Context, url string) (*replica, error) {
	store, metrics, err := c.open(ctx, url)
	if err != nil {
		return nil, err
	}
	held := new(bulk.Held)
	tracker, err := index.Open(ctx, store, index.Options{PollInterval: -1, Log: c.logger(), OnLoad: held.Keep})
	if err != nil {
		return nil, err
	}
	return &replica{store, metrics, tracker, held}, nil
}

// source is where the replica's pages come from.
func (r *replica) source() bulk.Source {
	return bulk.Source{Store: r.store, Mover: r.tracker, Held: r.held}
}

// newest returns the View of the head, after a look for news.
func (r *replica) newest(ctx context.Context) (*index.View, error) {
	if err := r.tracker.Refresh(ctx); err != nil {
		return nil, err
	}
	return r.head()
}

// head returns the View of the head. Where files are missing the tracker stands before the gap: that is an old state, and nobody gets
// it who did not ask for it.
func (r *replica) head() (*index.View, error) {
	v := r.tracker.View()
	if err := r.tracker.State().Err; err != nil {
		return nil, &goOn{fmt.Errorf("the newest state cannot be opened: %w", err),
			fmt.Sprintf(`the last one before is txid %s, of %s; "ltxctl repair REPLICA" shows how the gap can be closed`, v.TXID, render.Millis(v.Time))}
	}
	return v, nil
}

// at returns the View at a moment. Files that are merged meanwhile make it look again.
func (r *replica) at(ctx context.Context, m moment) (v *index.View, err error) {
	if m.latest() {
		return r.head()
	}
	const attempts = 3
	for range attempts {
		var tl *index.Timeline
		if tl, err = r.tracker.Timeline(ctx); err != nil {
			return nil, err
		}
		txid := m.txid
		if txid == 0 {
			txid, err = pitr.Locate(ctx, tl, m.target.At)
		}
		if err == nil {
			v, err = tl.At(ctx, txid)
		}
		if err == nil || !goneMeanwhile(err) {
			return v, err
		}
	}
	return nil, err
}

// goneMeanwhile reports whether a listing was overtaken by compaction.
func goneMeanwhile(err error) bool {
	return errors.Is(err, index.ErrViewExpired) || errors.Is(err, objstore.ErrNotFound) || errors.Is(err, objstore.ErrChanged)
}

// moment is a state of the replica that somebody asks for: a TXID, or a time. The zero moment is the newest state.
type moment struct {
	target pitr.Target
	txid   index.TXID // zero means target
}

func (m moment) latest() bool { return m.txid == 0 && m.target.IsLatest() }

func (m moment) String() string {
	switch {
	case m.txid != 0:
		return "txid:" + m.txid.String()
	case m.latest():
		return "latest"
	}
	return render.Millis(m.target.At)
}

// moment reads the flags --time and --txid, of which one at most is given.
func (c *cli) moment(o sessionOptions) (moment, error) {
	if err := o.checkMoment(); err != nil {
		return moment{}, err
	}
	switch {
	case o.txid != "":
		txid, err := parseTXID(o.txid)
		return moment{txid: txid}, err
	case o.time != "":
		target, err := pitr.Parse(o.time, c.now())
		return moment{target: target}, err
	}
	return moment{}, nil
}

// momentOf reads a time, or txid:HEX.
func (c *cli) momentOf(flag, text string) (moment, error) {
	m, err := moment{}, error(nil)
	if hex, ok := strings.CutPrefix(text, "txid:"); ok {
		m, err = c.moment(sessionOptions{txid: hex})
	} else {
		m, err = c.moment(sessionOptions{time: text})
	}
	if err != nil {
		return m, usagef("%s: %w", flag, err)
	}
	return m, nil
}

// parseTXID reads a TXID as list shows it: hexadecimal, leading zeros optional.
func parseTXID(text string) (index.TXID, error) {
	n, err := strconv.ParseUint(strings.TrimPrefix(strings.ToLower(text), "0x"), 16, 64)
	if err != nil || n == 0 {
		return 0, usagef("txid %q is not one; it is up to 16 hexadecimal digits, as ltxctl list shows it", text)
	}
	return index.TXID(n), nil
}

// stateOf says which state a View is: "txid 0003 of 2026-01-02 03:04:07.000Z".
func stateOf(v *index.View) string {
	return fmt.Sprintf("txid %s of %s", shortTXID(v.TXID, txidDigits(v.TXID)), render.Millis(v.Time))
}
