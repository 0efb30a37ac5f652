package compact

import (
	"context"
	"errors"
	"time"

	"github.com/litefs-s3/litefs-s3/index"
)

// Plan is what is to be done with a replica, worked out from one listing of it. It does not change. It can be printed, and
// turned into JSON, before it is run or instead.
type Plan struct {
	At    time.Time  `json:"at"`
	Files int        `json:"files"` // in the listing
	Bytes int64      `json:"bytes"` // of them
	Head  index.TXID `json:"head"`  // the newest transaction that can be opened

	Steps  []Step     `json:"steps"`  // files to be made, in this order
	Delete []Deletion `json:"delete"` // files that nobody needs any more

	// Gap says which transactions are missing, when some are. What lies below and above is merged all the same.
	Gap *Gap `json:"gap,omitempty"`
	// Deferred says why nothing is done, when somebody else does it.
	Deferred string `json:"deferred,omitempty"`
	// Problems are files that cannot be read, and therefore left as they are.
	Problems []string `json:"problems,omitempty"`

	Cost Cost `json:"cost"`

	// Ages are how old the levels were before anything was done.
	Ages []LevelAge `json:"-"`

	err error // of Problems
}

// Step is one file to be made.
type Step struct {
	Level  int        `json:"level"`
	Min    index.TXID `json:"min_txid"`
	Max    index.TXID `json:"max_txid"`
	Time   time.Time  `json:"time"` // of its newest transaction
	Inputs []Input    `json:"inputs"`
	Bytes  int64      `json:"bytes"` // of the new file, at most
	Cost   Cost       `json:"cost"`

	base  *index.File // ends where the inputs begin: says how large the database was
	needs []int       // steps that must have succeeded
}

// Input is a file that a step reads: one of the listing, or one that an earlier step makes.
type Input struct {
	Level int        `json:"level"`
	Min   index.TXID `json:"min_txid"`
	Max   index.TXID `json:"max_txid"`
	Bytes int64      `json:"bytes"`
	Made  bool       `json:"made,omitempty"` // by an earlier step

	file index.File
}

// Gap is a stretch of transactions that no file holds, although later ones are there.
type Gap struct {
	First index.TXID `json:"first_txid"`
	Last  index.TXID `json:"last_txid"`
}

// Idle reports whether there is nothing to do.
func (p *Plan) Idle() bool { return len(p.Steps) == 0 && len(p.Delete) == 0 }

func (s *Step) file() index.File {
	return index.File{Level: s.Level, Min: s.Min, Max: s.Max, Size: s.Bytes}
}

// drafting is a plan that is being made: the files of the listing, and those that its steps will have made.
type drafting struct {
	c     *Compactor
	plan  *Plan
	files []index.File
	made  map[name]int // by which step
	last  map[int]int  // step of each level
}

func (c *Compactor) draft(catalog *index.Catalog) *drafting {
	d := &drafting{c: c, files: append([]index.File(nil), catalog.Files...), made: map[name]int{}, last: map[int]int{}}
	d.plan = &Plan{At: c.opts.Now().UTC(), Files: len(d.files)}
	for i := range d.files {
		d.plan.Bytes += d.files[i].Size
	}
	chains := index.NewChains(d.files)
	d.plan.Head = chains.Head()
	var gap *index.GapError
	if errors.As(chains.Gap(), &gap) {
		d.plan.Gap = &Gap{First: gap.After + 1, Last: gap.Next - 1}
	}
	return d
}

// Plan lists the replica and works out what is due: level by level what lies in intervals that are over, a snapshot, and what
// may be removed.
func (c *Compactor) Plan(ctx context.Context) (*Plan, error) {
	catalog, err := c.list(ctx)
	if err != nil {
		return nil, err
	}
	d := c.draft(catalog)
	first := d.wholeAtBottom()
	if first {
		d.snapshotIfDue(ctx)
	}
	for level := 1; level <= len(c.opts.Levels); level++ {
		if err := d.level(ctx, level); err != nil {
			if ctx.Err() != nil {
				return nil, err
			}
			d.problem(err)
		}
	}
	if !first {
		d.snapshotIfDue(ctx)
	}
	d.plan.Delete = retention{c.opts, d.plan.At}.removable(catalog.Files)
	if err := d.deferToOthers(ctx, catalog); err != nil {
		return nil, err
	}
	d.plan.Ages = ages(catalog.Files, len(c.opts.Levels))
	return d.finish(), nil
}

// PlanSnapshot lists the replica and plans a snapshot of its newest state, whether one is due or not. There is nothing to do
// when it has one.
func (c *Compactor) PlanSnapshot(ctx context.Context) (*Plan, error) {
	catalog, err := c.list(ctx)
	if err != nil {
		return nil, err
	}
	d := c.draft(catalog)
	if newest := d.newest(index.SnapshotLevel); newest == nil || newest.Max < d.plan.Head {
		d.snapshot(ctx)
	}
	return d.finish(), nil
}

func (c *Compactor) list(ctx context.Context) (*index.Catalog, error) {
	catalog, err := index.ListAll(ctx, c.store)
	if err != nil {
		return nil, err
	}
	c.times.keep(catalog.Files)
	return catalog, catalog.Check()
}

func (d *drafting) problem(err error) {
	d.plan.Problems = append(d.plan.Problems, err.Error())
	d.plan.err = errors.Join(d.plan.err, err)
}

func (d *drafting) finish() *Plan {
	if d.plan.Steps == nil {
		d.plan.Steps = []Step{} // in JSON: none, not null
	}
	if d.plan.Delete == nil {
		d.plan.Delete = []Deletion{}
	}
	for i := range d.plan.Steps {
		s := &d.plan.Steps[i]
		s.Cost = s.cost()
		d.plan.Cost = d.plan.Cost.plus(s.Cost)
	}
	d.plan.Cost = d.plan.Cost.plus(deletionCost(d.plan))
	return d.plan
}

// newest returns the file of a level that ends last, or nil.
func (d *drafting) newest(level int) *index.File { return newestOf(d.files, level) }

func newestOf(files []index.File, level int) *index.File {
	var newest *index.File
	for i := range files {
		if f := &files[i]; f.Level == level && (newest == nil || f.Max > newest.Max) {
			newest = f
		}
	}
	return newest
}

// add plans a step that merges inputs into one file. Steps of one level depend on each other: a file that was left out
// would never be made, because a level goes on where its last file ends.
func (d *drafting) add(level int, inputs []index.File, at time.Time, needs ...int) {
	s := Step{Level: level, Min: inputs[0].Min, Time: at, needs: needs}
	for i := range inputs {
		f := &inputs[i]
		in := Input{Level: f.Level, Min: f.Min, Max: f.Max, Bytes: f.Size, file: *f}
		if step, ok := d.made[nameOf(f)]; ok {
			in.Made = true
			s.needs = append(s.needs, step)
		}
		s.Inputs = append(s.Inputs, in)
		s.Min, s.Max = min(s.Min, f.Min), max(s.Max, f.Max)
		s.Bytes += f.Size
	}
	if last, ok := d.last[level]; ok {
		s.needs = append(s.needs, last)
	}
	d.last[level] = len(d.plan.Steps)
	s.base = d.endsBefore(s.Min)
	f := s.file()
	f.Modified = d.plan.At
	d.made[nameOf(&f)] = len(d.plan.Steps)
	d.plan.Steps = append(d.plan.Steps, s)
	d.files = append(d.files, f)
	d.c.times.set(&f, at)
}

// endsBefore returns a file of the listing whose last transaction is the one before txid.
func (d *drafting) endsBefore(txid index.TXID) *index.File {
	for i := range d.files {
		f := d.files[i]
		if _, made := d.made[nameOf(&f)]; !made && f.Max == txid-1 {
			return &f
		}
	}
	return nil
}
