package sim

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/pages"
	"github.com/litefs-s3/litefs-s3/writer"
)

const leaseTTL = 30 * time.Second

// node is a machine that wants to write. Its processes come and go, its commit log stays.
type node struct {
	*actor
	w          *world
	logPath    string
	durability writer.Durability
	interval   time.Duration // between uploads in the background; negative is none
	skew       atomic.Int64  // of its clock, as a time.Duration

	proc *process // nil while none runs

	mu     sync.Mutex
	acked  map[uint32]bool // commits that returned, and nobody has excused; guarded by mu
	asides map[string]bool // logs that were set aside and looked at, by name
	kept   map[uint32]bool // commits in them
}

// process is a node's program while it runs.
type process struct {
	*writer.Writer
	line    *line
	tracker atomic.Pointer[index.Tracker]
	source  *pages.Source
	cancel  func()
	running sync.WaitGroup
	saved   string // the log at the moment of its death in the middle of something
}

func (w *world) addNode(i int) {
	n := &node{w: w, logPath: filepath.Join(w.newDir(), "commits"), interval: -1, acked: map[uint32]bool{}, asides: map[string]bool{}, kept: map[uint32]bool{}}
	switch w.rng.IntN(8) {
	case 0:
		n.durability = writer.Local
	case 1, 2:
		n.durability = writer.Remote
	default:
		n.durability = writer.Memory
	}
	if w.rng.IntN(3) == 0 {
		n.interval = time.Second
	}
	n.actor = w.add(fmt.Sprintf("node%d", i), n.step)
	n.quick = n.commitOne
	w.nodes = append(w.nodes, n)
}

func (n *node) clock() time.Time { return time.Now().Add(time.Duration(n.skew.Load())) }

func (n *node) step(ctx context.Context, r *rand.Rand) error {
	if n.proc == nil {
		return n.start(ctx)
	}
	switch k := r.IntN(100); {
	case k < 12:
		return n.Acquire(ctx)
	case k < 50:
		for range 1 + r.IntN(4) {
			if err := n.commitOne(ctx, r); err != nil {
				return err
			}
		}
		if r.IntN(2) == 0 {
			return n.Sync(ctx)
		}
	case k < 62:
		n.dieSoon(r)
		err := n.Sync(ctx)
		n.bury()
		return err
	case k < 68:
		n.dieSoon(r)
		err := n.Acquire(ctx)
		n.bury()
		return err
	case k < 72:
		return n.Release(ctx)
	case k < 80:
		return n.read(ctx)
	case k < 85:
		return n.poll(ctx)
	case k < 88:
		return n.stop(ctx)
	case k < 91:
		n.kill(ctx, r)
		return n.start(ctx)
	case k < 93:
		return n.dieWhileCommitting(ctx, r)
	case k < 95 && n.durability == writer.Memory:
		n.losePower(ctx, r)
	case k < 98:
		n.skew.Store(int64(time.Duration(r.IntN(241)-120) * time.Second))
	}
	return nil
}

func (n *node) Acquire(ctx context.Context) error { return n.conflict(n.proc.Acquire(ctx)) }
func (n *node) Sync(ctx context.Context) error    { return n.conflict(n.proc.Sync(ctx)) }
func (n *node) Release(ctx context.Context) error { return n.conflict(n.proc.Release(ctx)) }

// conflict takes note of a log that was set aside.
func (n *node) conflict(err error) error {
	var c *writer.ConflictError
	if errors.As(err, &c) {
		return errors.Join(err, n.lookAside())
	}
	return err
}

// start begins a process.
func (n *node) start(ctx context.Context) error {
	p := &process{}
	p.line = &line{w: n.w, a: n.actor}
	store := p.line.open(3)
	p.source = pages.NewSource(store, p, pages.NewCache(1<<16))
	open := func(ctx context.Context) (writer.Replica, error) {
		tr, err := index.Open(ctx, store, index.Options{PollInterval: -1, OnLoad: p.source.Admit})
		if err != nil {
			return nil, err
		}
		p.tracker.Store(tr)
		return tr, nil
	}
	replica, err := open(ctx)
	if err != nil && !errors.Is(err, index.ErrNoReplica) {
		p.source.Close()
		return err
	}
	opts := writer.Options{
		Replica: "mem", LogPath: n.logPath, Durability: n.durability, SyncInterval: n.interval, LeaseTTL: leaseTTL,
		Owner: n.name, Clock: n.clock, OpenReplica: open, TempDir: n.w.dir,
	}
	p.Writer, err = writer.Open(ctx, store, replica, opts)
	if err != nil {
		p.source.Close()
		return n.conflict(err)
	}
	running, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	p.running.Go(func() { p.Run(running) })
	n.proc = p
	n.w.note("%s starts: durable %s, pending %d", n.name, p.DurableTXID(), p.Pending().Commits)
	if err := n.read(ctx); err != nil {
		return err
	}
	return n.account()
}

// Rehome is the tracker's, once there is one.
func (p *process) Rehome(ctx context.Context, v *index.View, gone *index.File) error {
	return p.tracker.Load().Rehome(ctx, v, gone)
}

func (p *process) Distrust(ctx context.Context, v *index.View) error {
	return p.tracker.Load().Distrust(ctx, v)
}

// commitOne commits something.
func (n *node) commitOne(ctx context.Context, r *rand.Rand) error {
	p := n.proc
	if p == nil || p.line.isDead() {
		return nil
	}
	s := p.Snapshot()
	tx, err := p.Begin(ctx, s)
	if err != nil {
		return n.conflict(err)
	}
	defer tx.Rollback()
	parent, err := n.commitOf(ctx, p, s)
	if err != nil {
		return err
	}
	size, pgnos := choose(r, s.Commit())
	c := n.w.model.begin(parent, size, pgnos)
	n.w.counts.commits.Add(1)
	for _, pgno := range pgnos {
		if err := tx.WritePage(pgno, page(c.id, pgno)); err != nil {
			return wrongf("write page %d: %v", pgno, err)
		}
	}
	if size < s.Commit() {
		tx.Truncate(size)
	}
	snap, err := tx.Commit(ctx, size)
	breathe() // an upload in the background may take it, or not
	switch {
	case snap != nil:
		n.ack(c)
	case !errors.Is(err, errDied):
		n.w.model.fail(c)
	}
	n.w.note("%s commits %d on %d, %d pages: %v", n.name, c.id, c.parent, size, err)
	return n.conflict(err)
}

func (n *node) ack(c *commit) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.acked[c.id] = true
	n.w.counts.acked.Add(1)
}

// choose says how large the database becomes, and which pages are written. Page 1 always is.
func choose(r *rand.Rand, size uint32) (uint32, []uint32) {
	switch r.IntN(7) {
	case 0:
		size += 1 + r.Uint32N(12)
	case 1:
		size = max(1, size-min(size, r.Uint32N(10)))
	}
	size = max(1, min(size, 48))
	pgnos := []uint32{1}
	for range r.IntN(6) {
		pgnos = append(pgnos, 1+r.Uint32N(size+1))
	}
	if r.IntN(2) == 0 {
		pgnos = append(pgnos, size)
	}
	return size, sortedUnique(pgnos)
}

// commitOf is the commit that a Snapshot is, as its page 1 says.
func (n *node) commitOf(ctx context.Context, p *process, s *writer.Snapshot) (*commit, error) {
	if s.Commit() == 0 {
		return n.w.model.commitOf(0)
	}
	buf := make([]byte, pageSize)
	if err := p.readPage(ctx, s, 1, buf); err != nil {
		return nil, err
	}
	return n.w.model.commitOf(author(buf))
}

// readPage reads as the VFS does: what is not uploaded from the log, the rest from the bucket.
func (p *process) readPage(ctx context.Context, s *writer.Snapshot, pgno uint32, dst []byte) error {
	if ok, err := s.ReadPage(pgno, dst); ok || err != nil {
		return err
	}
	if s.Base() == nil {
		return wrongf("page %d is neither in the log nor in a bucket", pgno)
	}
	reader := p.source.NewReader()
	defer reader.Close()
	return reader.ReadPage(ctx, s.Base(), pgno, dst)
}

// read compares the newest Snapshot, every page.
func (n *node) read(ctx context.Context) error {
	p := n.proc
	s, pending := p.Snapshot(), p.Pending().Commits
	c, err := n.commitOf(ctx, p, s)
	if err != nil {
		return viewTrouble(err)
	}
	if s.Commit() != uint32(len(c.image)) {
		return wrongf("the Snapshot has %d pages, commit %d %d", s.Commit(), c.id, len(c.image))
	}
	n.w.counts.reads.Add(1)
	err = n.w.model.compare(c.image, func(pgno uint32, dst []byte) error { return p.readPage(ctx, s, pgno, dst) })
	if err != nil {
		return viewTrouble(fmt.Errorf("commit %d, %d pending: %w", c.id, pending, err))
	}
	return nil
}

// viewTrouble forgives a View that has expired, which is checked where Views are pinned.
func viewTrouble(err error) error {
	if errors.Is(err, index.ErrViewExpired) {
		return nil
	}
	return err
}

func (n *node) poll(ctx context.Context) error {
	if tr := n.proc.tracker.Load(); tr != nil {
		return tr.Poll(ctx)
	}
	return nil
}

// stop ends a process in good order.
func (n *node) stop(ctx context.Context) error {
	p := n.proc
	n.proc = nil
	p.cancel()
	p.running.Wait()
	err := n.conflict(p.Close(ctx))
	p.source.Close()
	p.line.kill()
	n.w.note("%s stops: %v", n.name, err)
	var left *writer.UnsyncedError
	if errors.As(err, &left) && !n.w.healing.Load() {
		return nil
	}
	return err
}

// dieSoon lets the process die at one of its next requests, unless it works in the background as well: its log could not be
// copied at one moment then.
func (n *node) dieSoon(r *rand.Rand) {
	if n.interval > 0 || n.depth.Load() > 0 || r.IntN(2) == 0 {
		return
	}
	p := n.proc
	p.line.mu.Lock()
	defer p.line.mu.Unlock()
	p.line.until = 1 + r.IntN(9)
	p.line.die = func() { p.saved = n.copyLog() }
}

// bury sees whether the process has died meanwhile, and clears away what is left of it.
func (n *node) bury() {
	p := n.proc
	p.line.mu.Lock()
	p.line.until = 0
	p.line.mu.Unlock()
	if p.saved != "" {
		n.logPath = p.saved
		n.clear()
	}
}

func (n *node) copyLog() string {
	to := filepath.Join(n.w.newDir(), "commits")
	if err := os.CopyFS(to, os.DirFS(n.logPath)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		n.w.wrong(fmt.Errorf("copy the log of %s: %w", n.name, err))
	}
	return to
}

// kill ends the process at once. What it has written to its log stays.
func (n *node) kill(context.Context, *rand.Rand) {
	n.proc.line.kill()
	n.proc.cancel()
	n.proc.running.Wait()
	n.logPath = n.copyLog()
	n.clear()
}

// clear lets go of what a dead process has. It reaches neither the bucket nor the log that the next one has.
func (n *node) clear() {
	p := n.proc
	n.proc = nil
	p.line.kill()
	p.cancel()
	p.running.Wait()
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_ = p.Close(ended) // what it says is of a process that is dead
	p.source.Close()
	n.w.counts.kills.Add(1)
	n.w.note("%s was killed", n.name)
}

// dieWhileCommitting cuts the log within what the last commit has written: that commit never returned.
func (n *node) dieWhileCommitting(ctx context.Context, r *rand.Rand) error {
	before, size := n.lastSegment()
	s := n.proc.Snapshot()
	if n.durability == writer.Remote || n.interval > 0 || before == "" {
		return nil
	}
	tx, err := n.proc.Begin(ctx, s)
	if err != nil {
		return n.conflict(err)
	}
	defer tx.Rollback()
	parent, err := n.commitOf(ctx, n.proc, s)
	if err != nil {
		return err
	}
	pages, pgnos := choose(r, s.Commit())
	c := n.w.model.begin(parent, pages, pgnos)
	for _, pgno := range pgnos {
		if err := tx.WritePage(pgno, page(c.id, pgno)); err != nil {
			return wrongf("write page %d: %v", pgno, err)
		}
	}
	if _, err := tx.Commit(ctx, pages); err != nil {
		n.w.model.fail(c)
		return n.conflict(err)
	}
	n.kill(ctx, r)
	after, grown := n.lastSegment()
	if filepath.Base(before) != filepath.Base(after) || grown <= size {
		return nil // a new segment, or nothing at the end: it is there
	}
	cut := size + (grown-size)*r.Int64N(1001)/1000
	n.w.note("%s died within commit %d, of which %d of %d bytes are there", n.name, c.id, cut-size, grown-size)
	if err := os.Truncate(after, cut); err != nil {
		return wrongf("cut the log: %v", err)
	}
	return nil
}

// losePower cuts the log anywhere: with Memory nothing was promised. What is lost is excused, what is there must be a state that was.
func (n *node) losePower(ctx context.Context, r *rand.Rand) {
	n.kill(ctx, r)
	name, size := n.lastSegment()
	if name == "" || size == 0 {
		return
	}
	cut := max(0, size-r.Int64N(4000))
	n.w.note("%s lost power: %d of %d bytes of its log are there", n.name, cut, size)
	if err := os.Truncate(name, cut); err != nil {
		n.w.wrong(err)
	}
	head, _ := n.w.model.at(n.w.model.head())
	n.mu.Lock()
	defer n.mu.Unlock()
	for id := range n.acked {
		if !n.w.model.has(head.commit, id) {
			delete(n.acked, id)
		}
	}
}

// lastSegment is the file of the log that is written to, and where its records end.
func (n *node) lastSegment() (string, int64) {
	names, _ := filepath.Glob(filepath.Join(n.logPath, "log", "*"))
	if len(names) == 0 {
		return "", 0
	}
	slices.Sort(names)
	name := names[len(names)-1]
	data, err := os.ReadFile(name)
	if err != nil {
		return "", 0
	}
	end := len(data)
	for end > 0 && data[end-1] == 0 { // room that is not used yet
		end--
	}
	return name, int64(end)
}

// lookAside reads the logs that were set aside: what is in them is not lost.
func (n *node) lookAside() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	paths, err := writer.Asides(n.logPath)
	if err != nil {
		return wrongf("logs set aside: %v", err)
	}
	for _, path := range paths {
		if name := filepath.Base(path); !n.asides[name] {
			n.asides[name] = true
			n.w.counts.asides.Add(1)
			if err := n.readAside(path); err != nil {
				return wrongf("log set aside at %s: %v", path, err)
			}
		}
	}
	return nil
}

func (n *node) readAside(path string) error {
	a, err := writer.ReadAside(path)
	if err != nil {
		return err
	}
	defer a.Close()
	for _, c := range a.Commits {
		i, id := 0, uint32(0)
		for p, err := range c.Pages() {
			if err != nil {
				return err
			}
			if i == 0 {
				if c.Pgnos[0] != 1 {
					return fmt.Errorf("commit %d has no page 1", c.Seq)
				}
				id = author(p)
			}
			if by := author(p); by != id && by != 0 || string(p) != string(page(by, c.Pgnos[i])) {
				return fmt.Errorf("page %d of commit %d is not what was committed", c.Pgnos[i], id)
			}
			i++
		}
		n.kept[id] = true
	}
	n.w.note("%s has a log set aside: %d commits, %v", n.name, len(a.Commits), a.Damage)
	return nil
}

// account checks that every commit that returned is somewhere: in the bucket, in the log, or in one that was set aside.
func (n *node) account() error {
	if err := n.lookAside(); err != nil {
		return err
	}
	head, _ := n.w.model.at(n.w.model.head())
	local := head.commit
	if n.proc != nil {
		var err error
		if local, err = n.commitOf(context.Background(), n.proc, n.proc.Snapshot()); err != nil {
			return viewTrouble(err)
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for id := range n.acked {
		if n.kept[id] || n.w.model.has(head.commit, id) || n.w.model.has(local, id) {
			continue
		}
		return wrongf("commit %d returned and is nowhere: the bucket has %d, the log %d", id, head.commit.id, local.id)
	}
	return nil
}
