package litefss3_test

import (
	"slices"
	"testing"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/integration/primary"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

// A replica is among the open ones from its first connection to its last, and tells what a connection would.
func TestOpenDatabases(t *testing.T) {
	t.Parallel()
	p := primary.New(t, new(memstore.Store), primary.Options{})
	fill(p, 20)
	p.Sync()
	mine := func() int {
		return slices.IndexFunc(litefss3.OpenDatabases(), func(o litefss3.OpenDatabase) bool { return o.Replica() == "mem:"+t.Name() })
	}
	if mine() >= 0 {
		t.Error("it is open before anyone opened it")
	}
	db := open(t, p.Store, func(c *litefss3.Config) { c.ReplicaURL += "?secret=1" })
	if got := value(t, db, "SELECT count(*) FROM a"); got != "20" {
		t.Errorf("got %s", got)
	}
	i := mine()
	if i < 0 {
		t.Fatal("it is not among those that are open")
	}
	s := litefss3.OpenDatabases()[i].Status()
	if s.Health != "ok" || s.Position.TXID != p.TXID.String() || s.Position.Pages == 0 || s.Requests.Get == 0 {
		t.Errorf("got %+v", s)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if mine() >= 0 {
		t.Error("it is among those that are open after it was closed")
	}
}
