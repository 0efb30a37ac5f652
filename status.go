package litefss3

import (
	"errors"
	"time"

	"github.com/litefs-s3/litefs-s3/hydrate"
	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/vfs"
	"github.com/litefs-s3/litefs-s3/writer"
)

// Status is what PRAGMA litestream_status tells, as JSON.
type Status struct {
	Replica  string `json:"replica"`
	Health   string `json:"health"` // "ok"; "idle" when nobody reads and so nobody polls; or what is wrong in a word: "stale", "gap", "unreachable", "corrupt", "replaced"
	Error    string `json:"error,omitempty"`
	Position struct {
		TXID     string    `json:"txid"`
		Time     time.Time `json:"time"`                 // of its newest transaction, by the writer's clock
		Asked    string    `json:"asked,omitempty"`      // the time that was set
		PageSize uint32    `json:"page_size"`            // bytes
		Pages    uint32    `json:"pages"`                // database size
		Bytes    int64     `json:"bytes"`                // the same in bytes
		Files    int       `json:"files"`                // LTX files it is read from
		Table    int64     `json:"page_table_bytes"`     // memory of the page table
		LastErr  string    `json:"last_error,omitempty"` // of this connection
	} `json:"position"`
	Following struct {
		TXID      string  `json:"txid"`     // newest View
		Known     string  `json:"known"`    // newest TXID seen in the bucket
		Behind    uint64  `json:"behind"`   // TXIDs known but not in the newest View
		Lag       float64 `json:"lag"`      // seconds since the last good poll; 0 while idle, for who begins to read polls first
		Certain   float64 `json:"certain"`  // seconds since it was last certain that no transaction's file had come and gone between two polls; 0 while idle
		DataAge   float64 `json:"data_age"` // seconds since the newest transaction
		Poll      string  `json:"poll_interval"`
		Histories uint32  `json:"histories_replaced"`
		Polls     int64   `json:"polls"`
		Failed    int64   `json:"polls_failed"`
		Corrupt   int64   `json:"corrupt_reads"` // statements that met bytes that are not what they should be
	} `json:"following"`
	Cache struct {
		Budget    int64 `json:"budget_bytes"` // of the process
		Used      int64 `json:"used_bytes"`   // by the process
		Hits      int64 `json:"hits"`         // of this replica, as the rest
		Local     int64 `json:"local"`        // pages read from the local copy
		Misses    int64 `json:"misses"`
		Fetches   int64 `json:"fetches"`
		Ahead     int64 `json:"fetched_ahead"`
		Rehomings int64 `json:"rehomings"`
	} `json:"cache"`
	ReadAhead struct {
		Limit   int64        `json:"limit_bytes"` // of what a transaction may fetch ahead in vain
		Guessed int64        `json:"guessed"`     // pages fetched ahead because of what indexes and upper b-tree pages say
		Right   int64        `json:"right"`       // of these, pages that were read
		Trees   []TreeStatus `json:"trees,omitempty"`
	} `json:"read_ahead"`
	Hydration *HydrationStatus  `json:"hydration,omitempty"`  // nil without a local copy
	Writer    *WriterStatus     `json:"writer,omitempty"`     // nil unless opened to write
	Compacts  *CompactionStatus `json:"compaction,omitempty"` // nil before the first run of this process
	Requests  struct {
		Get      int64   `json:"get"`
		List     int64   `json:"list"`
		Put      int64   `json:"put"`
		Delete   int64   `json:"delete"`
		NotFound int64   `json:"not_found"` // gets that met nothing: how a follower asks for news
		Errors   int64   `json:"errors"`
		Bytes    int64   `json:"bytes_in"`
		BytesOut int64   `json:"bytes_out"`
		Waves    int64   `json:"waves"`             // requests that had to wait for another
		Hedged   int64   `json:"hedged"`            // gets and lists that were made again because they were late; of the two, one is among the errors
		HedgeWon int64   `json:"hedges_won"`        // of them, those whose second one came first
		Dollars  float64 `json:"estimated_dollars"` // by the prices of AWS S3 Standard, us-east-1; transfer not counted
	} `json:"requests"`
}

// TreeStatus is how well the guesses about one b-tree were.
type TreeStatus struct {
	Root    uint32 `json:"root"` // page, as in sqlite_schema
	Guessed int64  `json:"guessed"`
	Right   int64  `json:"right"`
}

// HydrationStatus is the part of Status that speaks of the local copy.
type HydrationStatus struct {
	State     string  `json:"state"` // "idle", "hydrating", "complete", "stopped"
	Error     string  `json:"error,omitempty"`
	Path      string  `json:"path"`
	Temporary bool    `json:"temporary,omitempty"` // removed at close
	TXID      string  `json:"txid"`                // that the copy stands for
	Percent   float64 `json:"percent"`
	Pages     int64   `json:"pages"` // that are local
	Total     int64   `json:"total"`
	Fetched   int64   `json:"fetched_bytes"` // by the background walk
	Failures  int64   `json:"failures"`      // requests of the walk and writes to the file that did not end well
}

func hydrationStatus(p hydrate.Progress) *HydrationStatus {
	s := &HydrationStatus{
		State: p.State.String(), Path: p.Path, Temporary: p.Temporary, TXID: p.TXID.String(),
		Percent: p.Percent(), Pages: p.Present, Total: p.Total, Fetched: p.Bytes, Failures: p.Failures,
	}
	if p.Err != nil {
		s.Error = p.Err.Error()
	}
	return s
}

// WriterStatus is the part of Status that speaks of writing.
type WriterStatus struct {
	Writer      bool       `json:"writer"`           // this process has the lease
	Error       string     `json:"error,omitempty"`  // why nothing can be written
	Upload      string     `json:"upload,omitempty"` // why the last upload failed
	Lease       *time.Time `json:"lease_until,omitempty"`
	Generation  int64      `json:"lease_generation,omitempty"`
	Durability  string     `json:"durability,omitempty"`
	LogPath     string     `json:"log_path,omitempty"`
	DurableTXID string     `json:"durable_txid"`  // confirmed in the bucket
	Pending     int        `json:"pending"`       // commits that are not uploaded
	PendingSize int64      `json:"pending_bytes"` // in the log
	Commits     int64      `json:"commits"`       // since the database was opened
	Uploads     int64      `json:"uploads"`
	UploadBytes int64      `json:"upload_bytes"`
	Failed      int64      `json:"uploads_failed"`        // tries
	LastUpload  *time.Time `json:"last_upload,omitempty"` // by this machine's clock
	Conflict    bool       `json:"conflict,omitempty"`    // another writer was first; this one has stopped
}

func writerStatus(w writer.Status) *WriterStatus {
	s := &WriterStatus{
		Writer: w.Writer, Generation: w.Generation, Durability: w.Durability, LogPath: w.LogPath, DurableTXID: w.DurableTXID.String(),
		Pending: w.Pending.Commits, PendingSize: w.Pending.Bytes, Commits: w.Commits, Uploads: w.Uploads, UploadBytes: w.UploadBytes,
		Failed: w.Failed, LastUpload: unlessZero(w.LastUpload),
		Conflict: errors.Is(w.Err, writer.ErrConflict) || errors.Is(w.Err, writer.ErrForeignWriter),
	}
	if w.Writer {
		s.Lease = &w.Lease
	}
	if w.Err != nil {
		s.Error = w.Err.Error()
	}
	if w.UploadErr != nil {
		s.Upload = w.UploadErr.Error()
	}
	return s
}

// Prices of AWS S3 Standard in us-east-1, dollars a request, 2025.
const (
	priceGet  = 0.0004 / 1000
	priceList = 0.005 / 1000 // and PUT
)

func (d *database) status(p vfs.Position) Status {
	var s Status
	now := time.Now()
	state := d.state()
	s.Replica = d.name
	s.Health = d.health(state, now)
	if state.Err != nil {
		s.Error = state.Err.Error()
	}

	d.position(&s, p)
	d.following(&s, state, now)

	st := d.source.Stats()
	s.Cache.Budget, s.Cache.Used = cache.Budget(), cache.Used()
	s.Cache.Hits, s.Cache.Local, s.Cache.Misses = st.Hits, st.Local, st.Misses
	s.Cache.Fetches, s.Cache.Ahead, s.Cache.Rehomings = st.Fetches, st.Ahead, st.Rehomings

	s.ReadAhead.Limit, s.ReadAhead.Guessed, s.ReadAhead.Right = d.source.ReadAheadLimit(), st.Guessed, st.Right
	for _, t := range st.Trees {
		s.ReadAhead.Trees = append(s.ReadAhead.Trees, TreeStatus{t.Root, t.Guessed, t.Right})
	}

	if local := d.local.Load(); local != nil {
		s.Hydration = hydrationStatus(local.Progress())
	}

	if w := d.writer.Load(); w != nil {
		s.Writer = writerStatus(w.Status())
	} else if err := d.whyNot.Load(); err != nil {
		s.Writer = &WriterStatus{Error: (*err).Error()}
	}

	s.Compacts = d.compaction.get()

	m := d.store.metrics.Stats()
	s.Requests.Get, s.Requests.List, s.Requests.Put, s.Requests.Delete = m.Gets, m.Lists, m.Puts, m.Deletes
	s.Requests.NotFound, s.Requests.Errors = m.NotFound, m.Errors
	s.Requests.Bytes, s.Requests.BytesOut, s.Requests.Waves = m.BytesIn, m.BytesOut, m.Waves
	if d.store.hedged != nil {
		h := d.store.hedged.Stats()
		s.Requests.Hedged, s.Requests.HedgeWon = h.Seconds, h.Won
	}
	s.Requests.Dollars = float64(m.Gets)*priceGet + float64(m.Lists+m.Puts)*priceList
	return s
}

func (d *database) position(s *Status, p vfs.Position) {
	s.Position.Asked = p.Time
	s.Position.PageSize, s.Position.Pages = p.PageSize, p.Commit
	s.Position.Bytes = int64(p.Commit) * int64(p.PageSize)
	if p.View != nil {
		base, layers := p.View.TableBytes()
		s.Position.TXID, s.Position.Time = p.View.TXID.String(), p.View.Time
		s.Position.Files, s.Position.Table = len(p.View.Files()), base+layers
	}
	if p.Err != nil {
		s.Position.LastErr = p.Err.Error()
	}
}

func (d *database) following(s *Status, state index.State, now time.Time) {
	if !state.Asleep {
		s.Following.Lag = state.Lag(now).Seconds()
		s.Following.Certain = state.Uncertain(now).Seconds()
	}
	s.Following.Poll, s.Following.Histories = d.pollInterval().String(), state.Histories
	s.Following.Polls, s.Following.Failed, s.Following.Corrupt = d.polls.Load(), d.pollsFailed.Load(), d.corrupted.Load()
	t := d.tracker()
	if t == nil {
		return
	}
	head := t.View()
	s.Following.TXID, s.Following.Known = head.TXID.String(), max(state.Known, head.TXID).String()
	s.Following.Behind = uint64(max(state.Known, head.TXID) - head.TXID)
	s.Following.DataAge = max(now.Sub(head.Time).Seconds(), 0)
}

// health says in a word how well the replica is followed.
func (d *database) health(state index.State, now time.Time) string {
	switch {
	case errors.Is(state.Err, index.ErrGap):
		return "gap"
	case errors.Is(state.Err, index.ErrCorrupt):
		return "corrupt"
	case errors.Is(state.Err, index.ErrHistoryChanged), errors.Is(state.Err, index.ErrNoReplica):
		return "replaced"
	case state.Err != nil:
		return "unreachable"
	case state.Asleep:
		return "idle"
	case d.poll > 0 && state.Lag(now) > max(10*d.pollInterval(), 30*time.Second):
		return "stale"
	}
	return "ok"
}
