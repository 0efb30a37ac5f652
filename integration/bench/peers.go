package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/litefs-s3/litefs-s3/integration/servers"
)

// peer is one way to ask the database: over the replica, or as a plain file.
type peer interface {
	name() string
	// start gets ready what is not measured: a process, its libraries.
	start(ctx context.Context) error
	// open opens the database with nothing of it in memory.
	open(ctx context.Context) error
	// ask prepares a statement, runs it for each argument, or once without any, and returns what each run said and took.
	ask(ctx context.Context, query string, args []int64) ([]string, []time.Duration, error)
	// stop ends what start and open began.
	stop() error
}

// contest is the same work for all peers.
type contest struct {
	what   string // key=value
	before []ask  // not measured
	warm   []ask  // not measured, and done again until it takes no request any more
	timed  []ask
	slow   bool // Litestream would take ten minutes
}

// ask is a statement with its arguments.
type ask struct {
	query string
	args  []int64
}

// readSchema is what SQLite does with a first statement anyway.
var readSchema = ask{query: "SELECT count(*) FROM sqlite_schema"}

// partOfPosts is a scan that Litestream's extension gets through in a minute.
const partOfPosts = "SELECT count(*) || '/' || sum(length(body)) FROM posts WHERE id <= ?"

// contests in the order of the tables. Each is the same for all: the random rows too.
func (b *bench) contests() []contest {
	part := []int64{int64(max(1, b.Data.Posts/20))}
	warm := b.random(1000, b.Data.Posts)
	return []contest{
		{what: "what=first", timed: []ask{{aboutPost, b.random(1, b.Data.Posts)}}},
		{what: "what=points", before: []ask{readSchema}, timed: []ask{{postByID, b.random(200, b.Data.Posts)}}},
		{what: "what=join", before: []ask{readSchema}, timed: []ask{{latestPosts, b.random(50, b.Data.users())}}},
		{what: "what=scan-part", before: []ask{readSchema}, timed: []ask{{partOfPosts, part}}},
		{what: "what=scan-part-again", before: []ask{readSchema, {partOfPosts, part}}, timed: []ask{{partOfPosts, part}}},
		{what: "what=scan", before: []ask{readSchema}, timed: []ask{{query: scanPosts}}, slow: true},
		{what: "what=scan-again", before: []ask{readSchema, {query: scanPosts}}, timed: []ask{{query: scanPosts}}, slow: true},
		{what: "what=warm", before: []ask{readSchema}, warm: []ask{{postByID, warm}}, timed: []ask{{postByID, slices.Repeat(warm, 10)}}},
	}
}

// random returns n numbers from 1 to most, or fewer in a tiny run.
func (b *bench) random(n, most int) []int64 {
	all := make([]int64, b.times(n))
	for i := range all {
		all[i] = int64(1 + b.rng.IntN(most))
	}
	return all
}

// measurePeers does the same work with this project, with Litestream's extension of SQLite, on a plain file with both drivers, and with
// plain GETs.
func measurePeers(ctx context.Context, b *bench) error {
	peers, err := b.peers(ctx)
	if err != nil {
		return err
	}
	for _, c := range b.contests() {
		var answers []string // of the first peer
		for _, p := range peers {
			if c.slow && p.name() == "how=litestream" {
				continue
			}
			said, err := b.contend(ctx, c, p)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", c.what, p.name(), err)
			}
			if answers == nil {
				answers = said
			}
			if !slices.Equal(said, answers) {
				return fmt.Errorf("%s: %s and %s give other answers", c.what, p.name(), peers[0].name())
			}
		}
	}
	return b.plainContests(ctx)
}

// peers that this machine has. The first one's answers are those that all have to give.
func (b *bench) peers(ctx context.Context) ([]peer, error) {
	ours := &driver{label: "how=litefs-s3", connect: func(ctx context.Context) (*database, error) { return b.open(ctx, b.config()) }}
	local := &driver{label: "how=local", connect: func(ctx context.Context) (*database, error) { return openLocal(ctx, b.Local, "ro") }}
	_, err := servers.Build(ctx, "vfshost")
	if errors.Is(err, servers.ErrNoCompiler) {
		fmt.Fprintf(os.Stderr, "%v; Litestream's extension and the C SQLite are left out\n", err)
		return []peer{local, ours}, nil
	}
	return []peer{local, &host{label: "how=local-c", db: localURI(b.Local)}, ours, b.litestream()}, err
}

// contend does the work with one peer and notes what it took.
func (b *bench) contend(ctx context.Context, c contest, p peer) (answers []string, err error) {
	if err := p.start(ctx); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	var opened time.Duration
	if len(c.before) > 0 {
		if err := p.open(ctx); err != nil {
			return nil, err
		}
	}
	if _, _, err := askAll(ctx, p, c.before); err != nil {
		return nil, err
	}
	passes, err := b.warmUp(ctx, p, c.warm)
	if err != nil {
		return nil, err
	}
	if err := b.proxy.reset(ctx); err != nil {
		return nil, err
	}
	start := time.Now()
	if len(c.before) == 0 {
		if err := p.open(ctx); err != nil {
			return nil, err
		}
		opened = time.Since(start)
	}
	answers, times, err := askAll(ctx, p, c.timed)
	if err != nil {
		return nil, err
	}
	seen, err := b.proxy.read(ctx)
	if err != nil {
		return nil, err
	}
	b.addPeer(c.what, p.name(), times, opened, seen)
	if passes > 0 {
		last := &b.rows[len(b.rows)-1]
		last.Figures = append(last.Figures, figure{"passes to warm", count, float64(passes)})
	}
	return answers, nil
}

// askAll asks one after another, and returns what all runs said and took.
func askAll(ctx context.Context, p peer, asks []ask) (said []string, times []time.Duration, err error) {
	for _, a := range asks {
		s, t, err := p.ask(ctx, a.query, a.args)
		if err != nil {
			return nil, nil, err
		}
		said, times = append(said, s...), append(times, t...)
	}
	return said, times, nil
}

// warmUp asks until that takes no request any more, and returns how often it did. If it never came to that, the requests of what
// is measured next show it.
func (b *bench) warmUp(ctx context.Context, p peer, asks []ask) (passes int, err error) {
	const most = 10
	for seen := (*traffic)(nil); len(asks) > 0 && passes < most && (seen == nil || seen.gets() > 0); passes++ {
		if err := b.proxy.reset(ctx); err != nil {
			return passes, err
		}
		if _, _, err := askAll(ctx, p, asks); err != nil {
			return passes, err
		}
		if seen, err = b.proxy.read(ctx); err != nil {
			return passes, err
		}
	}
	return passes, nil
}

// addPeer notes a row: the time of the whole, and of one of many.
func (b *bench) addPeer(what, how string, times []time.Duration, opened time.Duration, seen *traffic) {
	total := opened
	for _, t := range times {
		total += t
	}
	n := float64(len(times))
	figures := []figure{{"time", millis, ms(total)}, {"n", count, n}}
	if len(times) > 1 {
		figures = append(figures, timed(slices.Clone(times))...)
	}
	if seen != nil {
		figures = append(figures, seen.figures()...)
		figures = append(figures, figure{"GETs each", each, float64(seen.gets()) / n}, figure{"depth each", each, float64(seen.Stats.Depth) / n})
	}
	b.add(what+"/"+how, figures...)
}

// driver is the driver of this project, over a replica or a file.
type driver struct {
	label   string
	connect func(context.Context) (*database, error)
	db      *database
}

func (d *driver) name() string { return d.label }

func (d *driver) start(context.Context) error { return nil }

func (d *driver) open(ctx context.Context) (err error) {
	d.db, err = d.connect(ctx)
	return err
}

func (d *driver) ask(ctx context.Context, query string, args []int64) (said []string, times []time.Duration, err error) {
	stmt, err := d.db.conn.PrepareContext(ctx, query)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, stmt.Close()) }()
	run := func(args ...any) error {
		var text string
		start := time.Now()
		if err := stmt.QueryRowContext(ctx, args...).Scan(&text); err != nil {
			return err
		}
		said, times = append(said, text), append(times, time.Since(start))
		return nil
	}
	if len(args) == 0 {
		err = run()
	}
	for _, arg := range args {
		if err := run(arg); err != nil {
			return nil, nil, err
		}
	}
	return said, times, err
}

func (d *driver) stop() error {
	if d.db == nil {
		return nil
	}
	err := d.db.close()
	d.db = nil
	return err
}
