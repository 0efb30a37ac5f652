package litefss3_test

import (
	"bytes"
	"encoding/xml"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/integration/primary"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

// publicBucket serves a store as a bucket that everybody may list and read. One of its reads never gets an answer, and none that comes while it is
// down.
type publicBucket struct {
	store objstore.Store
	hangs int64 // number of that read, from 1; 0 is none
	down  atomic.Bool
	took  atomic.Int64 // requests while it was down
	reads atomic.Int64
	left  atomic.Int64 // reads whose client went away
}

func (b *publicBucket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if b.down.Load() {
		b.took.Add(1)
		<-r.Context().Done()
		return
	}
	if r.URL.Path == "/" {
		b.list(w, r)
		return
	}
	if b.reads.Add(1) == b.hangs {
		<-r.Context().Done()
		b.left.Add(1)
		return
	}
	part, err := b.store.ReadPrefix(r.Context(), objstore.Ref{Key: strings.TrimPrefix(r.URL.Path, "/app/")}, 1<<30)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	w.Header().Set("ETag", `"`+part.ETag+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(part.Data))
}

func (b *publicBucket) list(w http.ResponseWriter, r *http.Request) {
	var answer struct {
		XMLName  xml.Name `xml:"ListBucketResult"`
		Contents []struct {
			Key, ETag    string
			Size         int64
			LastModified time.Time
		}
	}
	q := r.URL.Query()
	objects, err := objstore.ListAll(r.Context(), b.store, strings.TrimPrefix(q.Get("prefix"), "app/"), strings.TrimPrefix(q.Get("start-after"), "app/"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	for _, o := range objects {
		answer.Contents = append(answer.Contents, struct {
			Key, ETag    string
			Size         int64
			LastModified time.Time
		}{"app/" + o.Key, `"` + o.ETag + `"`, o.Size, o.Modified})
	}
	xml.NewEncoder(w).Encode(answer)
}

// An answer that does not come costs an open two round trips, and neither the time limit of the request nor a retry.
func TestHedging_AnOpenDoesNotWaitForALostAnswer(t *testing.T) {
	t.Parallel()
	p := primary.New(t, new(memstore.Store), primary.Options{})
	fill(p, 200)
	for range 40 {
		p.Exec(`UPDATE a SET x = hex(randomblob(60)) WHERE id % 5 = 1`)
		p.Sync()
	}
	bucket := &publicBucket{store: p.Store, hangs: 30}
	server := httptest.NewServer(bucket)
	defer server.Close()
	db := open(t, nil, func(c *litefss3.Config) { c.Store, c.ReplicaURL = nil, server.URL+"/app" })
	p.CheckSame(p.TXID, db)
	s := status(t, db)
	server.Close() // waits for the handler that hangs
	if s.Requests.HedgeWon < 1 || s.Requests.Hedged < s.Requests.HedgeWon || bucket.left.Load() != 1 {
		t.Errorf("the server saw %d reads given up: %+v", bucket.left.Load(), s.Requests)
	}
}

// A poll that the server has taken and will never answer holds nobody up once the server is back: not for the time limit of the request.
func TestHedging_AQueryDoesNotWaitForALostPoll(t *testing.T) {
	t.Parallel()
	p := primary.New(t, new(memstore.Store), primary.Options{})
	fill(p, 20)
	p.Sync()
	bucket := &publicBucket{store: p.Store}
	server := httptest.NewServer(bucket)
	defer server.Close()
	db := open(t, nil, func(c *litefss3.Config) {
		c.Store, c.ReplicaURL, c.PollInterval, c.StaleAfter = nil, server.URL+"/app", 20*time.Millisecond, 100*time.Millisecond
	})
	p.CheckSame(p.TXID, db)
	bucket.down.Store(true)
	for bucket.took.Load() == 0 { // a poll comes
		time.Sleep(time.Millisecond)
	}
	time.Sleep(200 * time.Millisecond) // now a query needs one that ends well
	p.Exec(`INSERT INTO a(x) VALUES ('new')`)
	p.Sync()
	bucket.down.Store(false)
	p.CheckSame(p.TXID, db)
	if s := status(t, db); s.Requests.HedgeWon < 1 || s.Following.Failed != 0 {
		t.Errorf("it has waited for the end of a request: %+v, %d polls failed", s.Requests, s.Following.Failed)
	}
}
