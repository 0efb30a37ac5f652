package index

// Chains knows every TXID that a set of files can be opened at, and which files give the database then. It needs only the
// files' names, so it also answers what would be if some were removed or added.
type Chains struct {
	files   []File
	planner *planner
}

// NewChains works out what files reach.
func NewChains(files []File) *Chains {
	return &Chains{files: files, planner: newPlanner(files, nil)}
}

// Head is the highest TXID that can be opened, 0 when there is none.
func (c *Chains) Head() TXID { return c.planner.head() }

// TXIDs are the moments that can be opened, ascending.
func (c *Chains) TXIDs() []TXID { return c.planner.boundaries() }

// Chain returns the files that give the database at txid, oldest first, or a [ReachError].
func (c *Chains) Chain(txid TXID) ([]*File, error) { return c.planner.chain(txid) }

// Gap returns a [GapError] when files lie beyond what can be reached, else nil.
func (c *Chains) Gap() error { return c.planner.gap(c.files) }

// Check returns why the listing holds no replica, or nil.
func (c *Catalog) Check() error { return c.check() }
