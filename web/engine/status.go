package engine

import (
	"context"
	"errors"
	"time"

	"github.com/litefs-s3/litefs-s3/index"
)

// Status is what status() of the JavaScript side resolves to. docs are in litefs-s3.d.ts.
type Status struct {
	TXID         string         `json:"txid"`
	Time         time.Time      `json:"time"`
	Asked        string         `json:"asked,omitempty"`
	PageSize     uint32         `json:"pageSize"`
	Pages        uint32         `json:"pages"`
	Bytes        int64          `json:"bytes"`
	Files        []FileStatus   `json:"files"`
	Health       string         `json:"health"`
	Error        string         `json:"error,omitempty"`
	Newest       string         `json:"newest"`
	Behind       uint64         `json:"behind"`
	Lag          float64        `json:"lag"`
	DataAge      float64        `json:"dataAge"`
	Polls        int64          `json:"polls"`
	PollInterval float64        `json:"pollInterval"`
	Requests     RequestsStatus `json:"requests"`
	Cache        CacheStatus    `json:"cache"`
}

// FileStatus is one LTX file.
type FileStatus struct {
	Level    int       `json:"level"`
	Min      string    `json:"min"`
	Max      string    `json:"max"`
	Bytes    int64     `json:"bytes"`
	Modified time.Time `json:"modified"`
}

// RequestsStatus counts what was asked of the server.
type RequestsStatus struct {
	Get      int64 `json:"get"`
	List     int64 `json:"list"`
	NotFound int64 `json:"notFound"`
	Errors   int64 `json:"errors"`
	Bytes    int64 `json:"bytes"`
	Waves    int64 `json:"waves"`
	InFlight int64 `json:"inFlight"`
}

// CacheStatus counts pages.
type CacheStatus struct {
	Budget  int64 `json:"budget"`
	Used    int64 `json:"used"`
	Hits    int64 `json:"hits"`
	Misses  int64 `json:"misses"`
	Fetches int64 `json:"fetches"`
}

// Status is how things are now. It asks nothing of the server.
func (m *Moment) Status() Status { return m.replica.status(m.reading(), m.asked) }

func (r *Replica) status(v *index.View, asked string) Status {
	state, head := r.tracker.State(), r.tracker.View()
	known := max(state.Known, head.TXID)
	s := Status{
		TXID: v.TXID.String(), Time: v.Time, Asked: asked, PageSize: v.PageSize, Pages: v.Commit,
		Bytes: int64(v.Commit) * int64(v.PageSize), Health: health(state), Newest: known.String(),
		Behind: uint64(known - min(known, v.TXID)), Lag: state.Lag(time.Now()).Seconds(), DataAge: max(time.Since(v.Time).Seconds(), 0),
		Polls: r.polls.Load(), PollInterval: r.tracker.PollInterval().Seconds(),
	}
	if state.Err != nil {
		s.Error = state.Err.Error()
	}
	for _, f := range v.Files() {
		s.Files = append(s.Files, fileStatus(f))
	}
	m := r.metrics.Stats()
	s.Requests = RequestsStatus{
		Get: m.Gets, List: m.Lists, NotFound: m.NotFound, Errors: m.Errors, Bytes: m.BytesIn, Waves: m.Waves, InFlight: m.InFlight,
	}
	p := r.source.Stats()
	s.Cache = CacheStatus{Budget: r.cache.Budget(), Used: r.cache.Used(), Hits: p.Hits, Misses: p.Misses, Fetches: p.Fetches}
	return s
}

func fileStatus(f *index.File) FileStatus {
	return FileStatus{Level: f.Level, Min: f.Min.String(), Max: f.Max.String(), Bytes: f.Size, Modified: f.Modified}
}

// health says in a word how well the replica is followed.
func health(state index.State) string {
	switch {
	case state.Err == nil:
		return "ok"
	case errors.Is(state.Err, index.ErrGap):
		return "gap"
	case errors.Is(state.Err, index.ErrCorrupt):
		return "corrupt"
	case errors.Is(state.Err, index.ErrHistoryChanged), errors.Is(state.Err, index.ErrNoReplica):
		return "replaced"
	}
	return "unreachable"
}

// Timeline is every moment that can be opened, and every file, as a listing shows them.
type Timeline struct {
	Files   []FileStatus   `json:"files"`
	Moments []MomentStatus `json:"moments"`
	Gap     string         `json:"gap,omitempty"`
}

// MomentStatus is a TXID that can be opened.
type MomentStatus struct {
	TXID string    `json:"txid"`
	Time time.Time `json:"time"` // when the file that ends with it was stored; the writer's own time is in Status
}

// Timeline lists the replica.
func (r *Replica) Timeline(ctx context.Context) (Timeline, error) {
	tl, err := r.tracker.Timeline(ctx)
	if err != nil {
		return Timeline{}, err
	}
	var out Timeline
	files := tl.Files()
	for i := range files {
		out.Files = append(out.Files, fileStatus(&files[i]))
	}
	for _, txid := range tl.TXIDs() {
		at, ok := tl.Known(txid)
		if !ok {
			at = tl.Guess(txid)
		}
		out.Moments = append(out.Moments, MomentStatus{TXID: txid.String(), Time: at})
	}
	if gap := tl.Gap(); gap != nil {
		out.Gap = gap.Error()
	}
	return out, nil
}
