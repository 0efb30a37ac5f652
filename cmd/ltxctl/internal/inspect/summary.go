package inspect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
)

// Summary is what there is to know about a replica at a glance.
type Summary struct {
	Head     Moment  `json:"head"`
	Age      float64 `json:"age_seconds"` // of the head
	PageSize uint32  `json:"page_size"`   // bytes
	Pages    uint32  `json:"pages"`       // of the database
	Bytes    int64   `json:"bytes"`       // of the database
	Stored   Stored  `json:"stored"`
	Window   Window  `json:"window"`
	Opening  Opening `json:"opening"`
	Levels   []Level `json:"levels"` // the highest one first
	Missing  []Range `json:"missing"`
	Health   string  `json:"health"` // "ok", "warning" or "damaged"
	Notes    []Note  `json:"notes"`
	Files    []*File `json:"-"`
}

// Moment is a transaction and its time by the writer's clock.
type Moment struct {
	TXID index.TXID `json:"txid"`
	Time time.Time  `json:"time"`
}

// Range is a range of TXIDs, both ends included.
type Range struct {
	Min index.TXID `json:"min_txid"`
	Max index.TXID `json:"max_txid"`
}

// Stored is what lies in the store.
type Stored struct {
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
}

// Window is which moments can be opened.
type Window struct {
	First   Moment `json:"first"`
	Last    Moment `json:"last"`
	Moments int    `json:"moments"`
}

// Opening is what it took to open the newest state, counted.
type Opening struct {
	Files    []string `json:"files"` // the plan, oldest first
	Requests int64    `json:"requests"`
	Waves    int64    `json:"waves"` // requests that had to wait for one another
	Bytes    int64    `json:"bytes"`
	Seconds  float64  `json:"seconds"`
}

// Level is one level of the replica. Each of its files ends at a moment that can be opened, if the files before it are still there.
type Level struct {
	Level   int     `json:"level"`
	Files   int     `json:"files"`
	Bytes   int64   `json:"bytes"`
	TXIDs   Range   `json:"txids"`
	Points  int     `json:"restore_points"` // moments that can be opened at which a file ends
	First   Moment  `json:"first_point"`
	Last    Moment  `json:"last_point"`
	Spacing float64 `json:"every_seconds"` // between the points, on average; 0 for a single one
}

// Every is Spacing as a duration.
func (l Level) Every() time.Duration { return time.Duration(l.Spacing * float64(time.Second)) }

// Replica looks at the replica in store, whose requests metrics counts. An error is why it cannot be opened at all; what is
// wrong with one that can be is in the notes.
func Replica(ctx context.Context, store objstore.Store, metrics *objstore.Metrics, now time.Time) (*Summary, error) {
	before, start := metrics.Stats(), time.Now()
	tracker, err := index.Open(ctx, store, index.Options{PollInterval: -1})
	if err != nil {
		return nil, err
	}
	cost := metrics.Stats().Sub(before)
	v := tracker.View()
	s := &Summary{
		Head: Moment{v.TXID, v.Time}, Age: now.Sub(v.Time).Seconds(),
		PageSize: v.PageSize, Pages: v.Commit, Bytes: int64(v.Commit) * int64(v.PageSize),
		Opening: Opening{
			Requests: cost.Requests(), Waves: cost.Waves, Bytes: cost.BytesIn, Seconds: time.Since(start).Seconds(),
		},
		Missing: []Range{}, Notes: []Note{},
	}
	for _, f := range v.Files() {
		s.Opening.Files = append(s.Opening.Files, f.String())
	}
	tl, err := tracker.Timeline(ctx)
	if err != nil {
		return nil, err
	}
	for _, f := range tl.Files() {
		s.Files = append(s.Files, &File{File: f})
	}
	if err := s.addLevels(ctx, store, tl.TXIDs()); err != nil {
		return nil, err
	}
	if err := s.addWindow(ctx, tl); err != nil {
		return nil, err
	}
	return s, s.judge(ctx, store, tl, now)
}

// addLevels groups the files, and reads the times of the first and the last restore point of each level.
func (s *Summary) addLevels(ctx context.Context, store objstore.RangeReader, reachable []index.TXID) error {
	levels, points := map[int][]*File{}, map[int][]*File{}
	var ends []*File
	for _, f := range s.Files {
		levels[f.Level] = append(levels[f.Level], f)
		if _, ok := slices.BinarySearch(reachable, f.Max); ok {
			points[f.Level] = append(points[f.Level], f)
		}
		s.Stored.Files++
		s.Stored.Bytes += f.Size
	}
	for _, files := range points {
		ends = append(ends, files[0])
		if last := files[len(files)-1]; last != files[0] {
			ends = append(ends, last)
		}
	}
	if err := Headers(ctx, store, ends); err != nil && !errors.Is(err, objstore.ErrNotFound) { // merged meanwhile
		return err
	}
	for level := index.MaxLevel; level >= 0; level-- {
		if files := levels[level]; len(files) > 0 {
			s.Levels = append(s.Levels, levelOf(level, files, points[level]))
		}
	}
	return nil
}

func levelOf(level int, files, points []*File) Level {
	total := Sum(files)
	l := Level{Level: level, Files: total.Files, Bytes: total.Bytes, TXIDs: Range{total.Min, total.Max}, Points: len(points)}
	if len(points) == 0 {
		return l
	}
	first, last := points[0], points[len(points)-1]
	l.First, l.Last = Moment{first.Max, timeOf(first)}, Moment{last.Max, timeOf(last)}
	if len(points) > 1 {
		l.Spacing = l.Last.Time.Sub(l.First.Time).Seconds() / float64(len(points)-1)
	}
	return l
}

// timeOf is the time in the header, or when the file was stored if the header could not be read.
func timeOf(f *File) time.Time {
	if t := f.Time(); !t.IsZero() {
		return t
	}
	return f.Modified.UTC()
}

func (s *Summary) addWindow(ctx context.Context, tl *index.Timeline) error {
	txids := tl.TXIDs()
	if len(txids) == 0 {
		return fmt.Errorf("nothing can be opened: %w", index.ErrGap)
	}
	first := txids[0]
	at, err := tl.Time(ctx, first)
	if err != nil && !errors.Is(err, objstore.ErrNotFound) {
		return err
	}
	s.Window = Window{First: Moment{first, at}, Last: s.Head, Moments: len(txids)}
	return nil
}

// missing returns the transactions between the first and the last one that no file holds.
func missing(files []*File) []Range {
	order := slices.Clone(files)
	slices.SortFunc(order, func(a, b *File) int { return cmp.Compare(a.Min, b.Min) })
	gaps := []Range{}
	var end index.TXID
	for _, f := range order {
		if end > 0 && f.Min > end+1 {
			gaps = append(gaps, Range{end + 1, f.Min - 1})
		}
		end = max(end, f.Max)
	}
	return gaps
}
