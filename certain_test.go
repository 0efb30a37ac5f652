package litefss3_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/litefs-s3/litefs-s3/integration/primary"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

// Transactions whose files come and go before a follower looks, and after which nobody writes, are read a minute later, and until then the status says
// since when it is not certain that there are none.
func TestCertain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := primary.New(t, new(memstore.Store), primary.Options{})
		fill(p, 20)
		p.Sync()
		p.Exec("DELETE FROM a WHERE id = 3")
		p.Sync()
		db := open(t, p.Store, everySecond)
		for range 120 {
			if got := value(t, db, "SELECT count(*) FROM a"); got != "19" {
				t.Fatalf("%s rows", got)
			}
			if f := status(t, db).Following; f.Certain > 62 || f.Certain < f.Lag {
				t.Fatalf("certain %.1f s ago, lag %.1f s", f.Certain, f.Lag)
			}
			time.Sleep(5*time.Second + 300*time.Millisecond)
		}
		for range 2 {
			p.Exec(`INSERT INTO a(x) VALUES ('new')`)
			p.Sync()
		}
		p.Compact(1, 1, p.TXID)
		p.Expire(0, p.TXID-1)
		began := time.Now()
		for value(t, db, "SELECT count(*) FROM a") != "21" {
			if time.Since(began) > 62*time.Second {
				t.Fatalf("it stands for %v: %+v", time.Since(began), status(t, db).Following)
			}
			if f := status(t, db).Following; time.Duration(f.Certain*float64(time.Second)) < time.Since(began)-time.Millisecond {
				t.Fatalf("certain %.1f s ago, and did not know of what came %v ago", f.Certain, time.Since(began))
			}
			time.Sleep(time.Second)
		}
		if f := status(t, db).Following; f.Certain > 2 {
			t.Errorf("it knows all there is, and is certain as of %.1f s ago", f.Certain)
		}
		asleep(t, db)
		time.Sleep(time.Hour)
		if f := status(t, db).Following; f.Certain > 1 { // to ask wakes it
			t.Errorf("awake again, and certain as of %.1f s ago", f.Certain)
		}
	})
}
