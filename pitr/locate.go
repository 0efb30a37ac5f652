package pitr

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/litefs-s3/litefs-s3/index"
)

// ErrOutside: the time asked for lies before everything that the replica still holds.
var ErrOutside = errors.New("time is outside what the replica holds")

// WindowError says what can be opened instead.
type WindowError struct {
	At          time.Time // asked for
	First, Last time.Time // the ends of what can be opened
}

func (e *WindowError) Error() string {
	return fmt.Sprintf("%s is before the first moment that the replica still holds; it goes from %s to %s",
		stampOf(e.At), stampOf(e.First), stampOf(e.Last))
}

// Is makes errors.Is(err, ErrOutside) true.
func (e *WindowError) Is(target error) bool { return target == ErrOutside }

func stampOf(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// Timeline is the moments of a replica that can be opened. An *index.Timeline is one.
type Timeline interface {
	// TXIDs are the moments, ascending.
	TXIDs() []index.TXID
	// Known is the time of a TXID when it takes no request to tell.
	Known(txid index.TXID) (time.Time, bool)
	// Guess is about the time of a TXID; it may be wrong by anything.
	Guess(txid index.TXID) time.Time
	// Time is the time of a TXID.
	Time(ctx context.Context, txid index.TXID) (time.Time, error)
}

// Locate returns the last TXID whose time is at or before at.
//
// Times grow with TXIDs, so this is a search: what is known without a request narrows it, the listing's modification times say
// where to look first, and when they are of no use, as in a copied bucket, bisection finds it all the same. A time before all of
// them is a WindowError.
func Locate(ctx context.Context, tl Timeline, at time.Time) (index.TXID, error) {
	s := &search{tl: tl, txids: tl.TXIDs(), at: at}
	if len(s.txids) == 0 {
		return 0, fmt.Errorf("nothing can be opened: %w", index.ErrNoReplica)
	}
	s.lo, s.hi = -1, len(s.txids)
	for i, txid := range s.txids {
		if t, ok := tl.Known(txid); ok {
			s.learn(i, t)
		}
	}
	if err := s.nearGuess(ctx); err != nil {
		return 0, err
	}
	for s.hi-s.lo > 1 {
		if err := s.probe(ctx, (s.lo+s.hi)/2); err != nil {
			return 0, err
		}
	}
	if s.lo < 0 {
		return 0, s.outside(ctx)
	}
	return s.txids[s.lo], nil
}

// search looks for the last of txids whose time is not after at: txids[lo] is not, txids[hi] is.
type search struct {
	tl     Timeline
	txids  []index.TXID
	at     time.Time
	lo, hi int
}

// learn narrows the search by the time of txids[i].
func (s *search) learn(i int, t time.Time) {
	if t.After(s.at) {
		s.hi = min(s.hi, i)
	} else {
		s.lo = max(s.lo, i)
	}
}

// nearGuess looks at the two moments around the guess, and at two more a few steps away when the answer is not between them. A guess
// at either end says nothing: that is what a copied bucket looks like.
func (s *search) nearGuess(ctx context.Context) error {
	if s.hi-s.lo <= 2 {
		return nil
	}
	first := s.lo + 1
	guess := first + sort.Search(s.hi-first, func(i int) bool { return s.tl.Guess(s.txids[first+i]).After(s.at) })
	if guess == first || guess == s.hi {
		return nil
	}
	if err := s.probe(ctx, guess-1, guess); err != nil {
		return err
	}
	switch {
	case s.hi <= guess-1:
		return s.probe(ctx, guess-3, guess-9)
	case s.lo >= guess:
		return s.probe(ctx, guess+2, guess+8)
	}
	return nil
}

// probe asks for the times of several moments at once. What is outside the search is left out.
func (s *search) probe(ctx context.Context, at ...int) error {
	times := make([]time.Time, len(at))
	g, ctx := errgroup.WithContext(ctx)
	for n, i := range at {
		if i <= s.lo || i >= s.hi {
			continue
		}
		g.Go(func() (err error) {
			times[n], err = s.tl.Time(ctx, s.txids[i])
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return fmt.Errorf("time of a transaction: %w", err)
	}
	for n, i := range at {
		if !times[n].IsZero() {
			s.learn(i, times[n])
		}
	}
	return nil
}

// outside returns the WindowError.
func (s *search) outside(ctx context.Context) error {
	first, err := s.tl.Time(ctx, s.txids[0])
	if err != nil {
		return err
	}
	last, err := s.tl.Time(ctx, s.txids[len(s.txids)-1])
	if err != nil {
		return err
	}
	return &WindowError{At: s.at, First: first, Last: last}
}
