package index

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/litefs-s3/litefs-s3/objstore"
)

// Reader is what a Tracker asks of the store: keys are those below the replica's prefix.
type Reader interface {
	objstore.RangeReader
	objstore.Lister
}

// Options of a Tracker. The zero value works.
type Options struct {
	// PollInterval is the time between two looks for news. Zero means one second; negative means never: call Poll.
	PollInterval time.Duration
	// Log gets one line per event an operator would retell. Nil discards.
	Log *slog.Logger
	// OnLoad, when not nil, gets each View before anyone can see it, with the bytes of pages that came with its
	// indexes; and again a View that was moved to other files. It must not block for long. It may keep the blobs, and must
	// not change them.
	OnLoad func(v *View, blobs []Blob)
	// Layouts, when not nil, is asked while Open lists the replica, for page tables that were kept from earlier. Each is used for the
	// file that the listing shows with the same name, size and ETag, and for no other: what is missing or stale costs
	// requests. It should return soon, and when ctx ends. See [Tracker.Distrust] for what happens when one is wrong.
	Layouts func(ctx context.Context) []*Layout
	// OnPoll, when not nil, is called by Run and Rouse after each poll, with when it began and how it ended. It must return at once.
	OnPoll func(ctx context.Context, began time.Time, err error)
	// Idle, when not nil, is asked by Run after each good poll whether nobody needs news any more. Then the Tracker falls asleep: see
	// Rouse.
	Idle func() bool
}

func (o Options) withDefaults() Options {
	if o.PollInterval == 0 {
		o.PollInterval = time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.OnPoll == nil {
		o.OnPoll = func(context.Context, time.Time, error) {}
	}
	if o.Idle == nil {
		o.Idle = func() bool { return false }
	}
	return o
}

const (
	// openAttempts is how often a plan is made anew when files vanish between listing and reading them.
	openAttempts = 4
	// gapAttempts is how often a gap is looked at again before it is believed.
	gapAttempts = 2
	// burst is how many files in a row a poll takes one by one before it lists instead.
	burst = 16
	// listBusy and listIdle are the longest times between listings while the writer writes and while it does not. The
	// predicted key finds news; a listing finds merged files to move to before the old ones go, and replicas replaced.
	listBusy = time.Minute
	listIdle = 5 * time.Minute
	// listAlone and listAloneRested are the same while the writer does not write and the head's own L0 file is not there to tell that nothing
	// has come and gone unseen: as often as a follower's dollar a month allows, while polls are many and when there is a restPause
	// between them.
	listAlone       = 3 * time.Minute
	listAloneRested = time.Minute
	restPause       = 2 * time.Second
	// listAwaited is how long somebody waits for a TXID, and nothing comes, until a poll lists: its file may have come and been merged
	// away unseen. Most waits are over before: a writer puts a file each second.
	listAwaited = 3 * time.Second
	// pollGap is the pause after which a poll lists first, unless it is one that the poll interval brings about: the next L0 file may have
	// come and gone unseen.
	pollGap = 15 * time.Second
	// maxSegments is the number of files from which the head moves to a plan of half as many, although its own still are there.
	maxSegments = 128
)

// Tracker keeps the newest View of a replica. It is safe for concurrent use.
type Tracker struct {
	store Reader
	opts  Options
	cur   atomic.Pointer[View]
	state atomic.Pointer[State]
	every atomic.Int64 // the poll interval, as a time.Duration
	await atomic.Int64 // how many wait for a TXID
	since atomic.Int64 // when the first of them began to, in Unix nanoseconds
	sleep atomic.Int32 // awake, asleep or rising
	holds atomic.Int64 // how many are putting the next file

	turn   chan struct{} // holds one token: whoever has it may move the head
	moving chan struct{} // the same for moving a View to other files

	// What follows is the head mover's; it has turn.
	listed     time.Time // last listing
	listedTXID TXID      // head after it
	polled     time.Time // begin of the last poll that ended well
	met        time.Time // last file that came by its name
	adopted    time.Time // last file that this process has put
	certain    time.Time // as of then nothing had come and gone unseen
	alone      TXID      // head whose own L0 file is not there
	mustList   bool      // the next poll has to list
	suspected  bool      // the last listing showed less than is known

	segments segmentCache

	// marks are the newest file of each level in the last listing. They outlive those of a View that was made long ago,
	// and tell the head's history. Published after the head: whoever needs both reads marks first.
	marks atomic.Pointer[[]File]

	// parted is the first history that certainly has nothing to do with those before it. Later ones may go on with it: nothing was left
	// by which the replica could be known again.
	parted atomic.Uint32

	mu   sync.Mutex
	news chan struct{} // closed and replaced when the head moves; guarded by mu
	poke chan struct{} // has room for one
}

// State is how well a Tracker follows.
type State struct {
	LastGood  time.Time // begin of the last poll that found the head or that there is no news under the next name
	LastList  time.Time
	Certain   time.Time // as of then no file had come and gone between two polls, after which there is no news under the next name for ever
	Known     TXID      // the highest TXID any file was seen to hold
	Histories uint32    // how often the replica was replaced
	Err       error     // why the last poll did not end well; nil when it did
	Asleep    bool      // nobody needs news, and nobody polls: see Tracker.Rouse
}

// Lag is how long before now the last good poll began. The time that a machine slept counts.
func (s State) Lag(now time.Time) time.Duration { return elapsed(s.LastGood, now) }

// Uncertain is how long before now it was last certain that no file had come and gone between two polls. The time that a machine
// slept counts.
func (s State) Uncertain(now time.Time) time.Duration { return elapsed(s.Certain, now) }

// Open lists the replica, loads the page table of its newest state, and returns a Tracker on it. It starts nothing: Run
// follows. When files are missing in the middle, the Tracker stands before the gap and State says so: what lies before
// can be read, but it is not the newest state.
func Open(ctx context.Context, store Reader, opts Options) (*Tracker, error) {
	t := &Tracker{
		store: store, opts: opts.withDefaults(),
		turn: make(chan struct{}, 1), moving: make(chan struct{}, 1),
		news: make(chan struct{}), poke: make(chan struct{}, 1),
	}
	t.every.Store(int64(t.opts.PollInterval))
	h, err := t.openHead(ctx, 0)
	if err != nil {
		return nil, err
	}
	at := h.catalog.At
	t.listed, t.listedTXID, t.polled, t.certain, t.mustList = at, h.view.TXID, at, at, h.gap != nil
	t.state.Store(&State{LastGood: at, LastList: at, Certain: at, Known: h.catalog.Max(), Err: h.gap})
	t.publish(h.view, h.blobs)
	t.setLandmarks(h.catalog)
	return t, nil
}

// View is the newest View.
func (t *Tracker) View() *View { return t.cur.Load() }

// PollInterval is the time between two looks for news; negative is never.
func (t *Tracker) PollInterval() time.Duration { return time.Duration(t.every.Load()) }

// SetPollInterval changes it from the next poll on. Zero and negative mean what they mean in Options. It cannot start a
// Run that never polls.
func (t *Tracker) SetPollInterval(d time.Duration) {
	t.every.Store(int64(Options{PollInterval: d}.withDefaults().PollInterval))
	t.Wake()
}

// State returns how well the Tracker follows.
func (t *Tracker) State() State {
	s := *t.state.Load()
	s.Asleep = t.sleep.Load() == asleep
	return s
}

// head is the newest View as a listing gives it.
type head struct {
	view    *View
	blobs   []Blob
	catalog *Catalog // that the view was found in
	gap     error    // why view is not at the end of the catalog, or nil
}

// openHead builds the newest View from nothing. Files that vanish meanwhile were merged: it lists again.
func (t *Tracker) openHead(ctx context.Context, history uint32) (h head, err error) {
	var lent []*segment
	for attempt := range openAttempts {
		c, more, lerr := t.list(ctx, attempt, history)
		if lerr != nil {
			return head{}, lerr
		}
		if err := c.check(); err != nil {
			return head{}, err
		}
		lent = append(lent, more...)
		before := h
		h, err = t.build(ctx, c, history)
		runtime.KeepAlive(before) // what it has loaded need not be loaded again
		runtime.KeepAlive(lent)
		if h.gap != nil && attempt < gapAttempts {
			continue // compaction may have moved files between the pages of the listing
		}
		if err == nil || !replanHelps(err) {
			return h, err
		}
	}
	return head{}, err
}

// list makes the listing of one attempt to open a history. The first of all brings page tables along that were kept from earlier.
func (t *Tracker) list(ctx context.Context, attempt int, history uint32) (*Catalog, []*segment, error) {
	if attempt == 0 && history == 0 {
		return t.listAndBorrow(ctx, listFor(attempt))
	}
	c, err := listFor(attempt)(ctx, t.store)
	return c, nil, err
}

// listFor is how the n-th attempt lists, from 0: what opening needs first, everything when that did not do.
func listFor(attempt int) func(context.Context, objstore.Lister) (*Catalog, error) {
	if attempt == 0 {
		return ListHead
	}
	return ListAll
}

// build loads the newest View that the files of a listing give.
func (t *Tracker) build(ctx context.Context, c *Catalog, history uint32) (head, error) {
	p := newPlanner(c.Files, t.segments.has)
	if p.head() == 0 {
		return head{}, fmt.Errorf("no file begins with transaction 1, so there is nothing to start from; "+
			"have the writer make a snapshot: %w", ErrGap)
	}
	chain, err := p.chain(p.head())
	if err != nil {
		return head{}, err
	}
	tab, blobs, err := t.load(ctx, chain)
	if err != nil {
		return head{}, err
	}
	return head{view: newView(tab, history), blobs: blobs, catalog: c, gap: p.gap(c.Files)}, nil
}

// publish makes v the head. The caller has the turn, or is Open.
func (t *Tracker) publish(v *View, blobs []Blob) {
	if t.opts.OnLoad != nil {
		t.opts.OnLoad(v, blobs)
	}
	t.cur.Store(v)
	t.mu.Lock()
	close(t.news)
	t.news = make(chan struct{})
	t.mu.Unlock()
}

// Run polls until ctx ends, or until the Tracker falls asleep: then Rouse tells when to call it again. It slows down while nobody calls
// Wake and nothing happens.
func (t *Tracker) Run(ctx context.Context) {
	if t.PollInterval() < 0 {
		<-ctx.Done()
		return
	}
	pace := newPace(t.PollInterval())
	timer := time.NewTimer(pace.next())
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.poke:
			pace.wake()
		case <-timer.C:
		}
		before, failed, began := t.View(), t.State().Err != nil, time.Now()
		err := t.pollUnlessOwn(ctx)
		if ctx.Err() != nil {
			return
		}
		t.rise()
		t.tell(ctx, began, err, failed)
		if err == nil && t.fallAsleep() {
			return
		}
		switch {
		case err != nil:
			pace.fail()
		case t.View() != before || failed:
			pace.wake()
		}
		pace.set(t.PollInterval())
		if pace.interval > 0 { // else only Wake makes the next poll
			timer.Reset(pace.next())
		}
	}
}

// tell tells of a poll that has ended, and in the log when polls begin to fail and when they work again.
func (t *Tracker) tell(ctx context.Context, began time.Time, err error, failedBefore bool) {
	t.opts.OnPoll(ctx, began, err)
	switch {
	case err != nil && !failedBefore:
		t.opts.Log.LogAttrs(ctx, slog.LevelWarn, "poll failed; readers keep the last view",
			slog.String("txid", t.View().TXID.String()), slog.Any("err", err))
	case err == nil && failedBefore:
		t.opts.Log.LogAttrs(ctx, slog.LevelInfo, "polling works again", slog.String("txid", t.View().TXID.String()))
	}
}

// Wake makes Run poll now. It never blocks.
func (t *Tracker) Wake() {
	select {
	case t.poke <- struct{}{}:
	default:
	}
}

// WaitFor returns as soon as the head is at txid or later. Run must be running. While it waits it asks for polls ten times as often.
func (t *Tracker) WaitFor(ctx context.Context, txid TXID) error {
	if t.await.Add(1) == 1 {
		t.since.Store(time.Now().UnixNano())
	}
	defer t.await.Add(-1)
	every := max(t.PollInterval()/10, 10*time.Millisecond)
	timer := time.NewTimer(every)
	defer timer.Stop()
	for {
		t.mu.Lock()
		news := t.news
		t.mu.Unlock()
		if t.View().TXID >= txid {
			return nil
		}
		t.Wake()
		timer.Reset(every)
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for txid %s, at %s: %w", txid, t.View().TXID, ctx.Err())
		case <-news:
		case <-timer.C:
		}
	}
}
