package litefss3

import (
	"cmp"
	"slices"
	"time"

	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/vfs"
)

// OpenDatabase is a replica that is open in this process, as those see it who watch the process. It stays valid after the replica was
// closed: it says what was so last.
type OpenDatabase struct{ db *database }

// OpenDatabases returns the replicas that are open in this process, in the order in which they were opened. Those that are being opened, or
// failed to open, are not among them.
func OpenDatabases() []OpenDatabase {
	var all []OpenDatabase
	for _, db := range databases.list() {
		all = append(all, OpenDatabase{db})
	}
	slices.SortFunc(all, func(a, b OpenDatabase) int {
		return cmp.Or(a.db.opened.Compare(b.db.opened), cmp.Compare(a.db.name, b.db.name))
	})
	return all
}

// Replica is the replica's URL, without anything secret. Two that were opened with different settings may have the same.
func (o OpenDatabase) Replica() string { return o.db.name }

// Opened is when the replica was opened.
func (o OpenDatabase) Opened() time.Time { return o.db.opened }

// Status is what PRAGMA litestream_status tells to a connection that reads the newest state.
func (o OpenDatabase) Status() Status { return o.db.status(o.db.newestPosition()) }

// Requests are the requests on the wire since the replica was opened. See [objstore.Metrics.Requests].
func (o OpenDatabase) Requests(yield func(objstore.Kind, objstore.RequestStats) bool) {
	o.db.store.metrics.Requests(yield)
}

// newestPosition is that of a connection that begins to read now. It asks nothing of the store.
func (d *database) newestPosition() vfs.Position {
	if w := d.writer.Load(); w != nil {
		return vfs.Position{Snapshot: snapshotOf(w.Snapshot())}
	}
	if t := d.tracker(); t != nil {
		return vfs.Position{Snapshot: vfs.SnapshotOf(t.View())}
	}
	return vfs.Position{}
}

// list returns the databases that are open.
func (r *registry) list() []*database {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []*database
	for _, e := range r.open {
		select {
		case <-e.ready:
			if e.db != nil && e.refs > 0 {
				all = append(all, e.db)
			}
		default:
		}
	}
	return all
}
