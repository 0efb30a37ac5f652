package diagnose_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/diagnose"
	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/fixture"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

// now is soon after the last transaction of the replica that most tests examine.
var now = fixture.At(4)

func replica(t *testing.T) *memstore.Store {
	return fixture.Store(t, fixture.File{Level: 9, Min: 1, Max: 2}, fixture.File{Min: 3, Max: 3})
}

// examine returns the results by name.
func examine(t *testing.T, d *diagnose.Doctor, store objstore.Store) map[string]diagnose.Result {
	t.Helper()
	if d.Replica == "" {
		d.Replica = "file:///replica"
	}
	d.Shown = d.Replica
	d.Now = func() time.Time { return now }
	if d.Getenv == nil {
		d.Getenv = func(string) string { return "" }
	}
	if d.Open == nil {
		d.Open = func(context.Context) (objstore.Store, error) { return store, nil }
	}
	if d.Query == nil {
		d.Query = func(context.Context, string) ([]string, error) {
			return []string{"4096 bytes, 10 pages, 1 tables"}, nil
		}
	}
	results := map[string]diagnose.Result{}
	for r := range d.Run(t.Context()) {
		results[r.Name] = r
	}
	if len(results) != 12 {
		t.Errorf("%d checks, want all", len(results))
	}
	return results
}

func TestRun_OfAHealthyReplica(t *testing.T) {
	t.Parallel()
	store := replica(t)
	before := store.Keys()
	for _, write := range []bool{false, true} {
		for name, r := range examine(t, &diagnose.Doctor{Write: write}, store) {
			want := diagnose.OK
			switch {
			case name == "credentials" || name == "endpoint" || name == "clock": // not for a directory
				want = diagnose.Skipped
			case !write && (name == "write" || name == "conditions" || name == "delete"):
				want = diagnose.Skipped
			}
			if r.Status != want || r.Detail == "" || r.Err != nil {
				t.Errorf("write=%v: %+v, want %s", write, r, want)
			}
		}
	}
	if !slices.Equal(store.Keys(), before) {
		t.Errorf("something is left: %v", store.Keys())
	}
}

// broken is a store some of whose operations go wrong.
type broken struct {
	objstore.Store
	list, get, put, del error
	ignores             string // a condition
}

func (b *broken) List(ctx context.Context, prefix, after string) (objstore.Page, error) {
	if b.list != nil {
		return objstore.Page{}, &objstore.OpError{Op: "list", Key: prefix, Err: b.list}
	}
	return b.Store.List(ctx, prefix, after)
}

func (b *broken) ReadPrefix(ctx context.Context, ref objstore.Ref, n int64) (objstore.Part, error) {
	if b.get != nil {
		return objstore.Part{}, &objstore.OpError{Op: "get", Key: ref.Key, Err: b.get}
	}
	return b.Store.ReadPrefix(ctx, ref, n)
}

func (b *broken) Put(ctx context.Context, key string, body io.ReadSeeker, o objstore.PutOptions) (string, error) {
	switch {
	case b.put != nil:
		return "", &objstore.OpError{Op: "put", Key: key, Err: b.put}
	case b.ignores == "OnlyCreate":
		o.OnlyCreate = false
	case b.ignores == "IfMatch":
		o.IfMatch = ""
	}
	return b.Store.Put(ctx, key, body, o)
}

func (b *broken) Delete(ctx context.Context, keys ...string) error {
	if b.del != nil {
		return &objstore.OpError{Op: "delete", Key: keys[0], Err: b.del}
	}
	return b.Store.Delete(ctx, keys...)
}

func TestRun_NamesTheFailureAndWhatToDo(t *testing.T) {
	t.Parallel()
	gap := fixture.Store(t, fixture.File{Level: 9, Min: 1, Max: 2}, fixture.File{Min: 5, Max: 5})
	for name, c := range map[string]struct {
		store  objstore.Store
		check  string
		status diagnose.Status
		todo   string
	}{
		"no bucket":           {&broken{Store: replica(t), list: objstore.ErrNoBucket}, "list", diagnose.Fail, "bucket"},
		"no right to list":    {&broken{Store: replica(t), list: objstore.ErrAccess}, "list", diagnose.Fail, "s3:ListBucket"},
		"nothing there":       {new(memstore.Store), "replica", diagnose.Fail, "path"},
		"no right to get":     {&broken{Store: replica(t), get: objstore.ErrAccess}, "get", diagnose.Fail, "s3:GetObject"},
		"a gap":               {gap, "chain", diagnose.Fail, "snapshot"},
		"no right to put":     {&broken{Store: replica(t), put: objstore.ErrAccess}, "write", diagnose.Fail, "s3:PutObject"},
		"creates twice":       {&broken{Store: replica(t), ignores: "OnlyCreate"}, "conditions", diagnose.Fail, "overwrite"},
		"ignores If-Match":    {&broken{Store: replica(t), ignores: "IfMatch"}, "conditions", diagnose.Warn, "leases"},
		"no right to delete":  {&broken{Store: replica(t), del: objstore.ErrAccess}, "delete", diagnose.Fail, "s3:DeleteObject"},
		"is only for reading": {&broken{Store: replica(t), put: objstore.ErrReadOnly}, "write", diagnose.Skipped, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := examine(t, &diagnose.Doctor{Write: true}, c.store)[c.check]
			if r.Status != c.status || !strings.Contains(r.Todo, c.todo) {
				t.Errorf("%+v, want %s and %q to do", r, c.status, c.todo)
			}
		})
	}
}

func TestRun_LeavesNoScratchObjectBehind(t *testing.T) {
	t.Parallel()
	store := replica(t)
	before := store.Keys()
	examine(t, &diagnose.Doctor{Write: true}, &broken{Store: store, ignores: "OnlyCreate"}) // ends before delete
	if !slices.Equal(store.Keys(), before) {
		t.Errorf("left behind: %v", store.Keys())
	}
}

func TestRun_SkipsWhatAFailureMakesPointless(t *testing.T) {
	t.Parallel()
	results := examine(t, &diagnose.Doctor{Write: true}, &broken{Store: replica(t), list: objstore.ErrAccess})
	for _, name := range []string{"replica", "get", "chain", "open", "write", "conditions", "delete"} {
		if r := results[name]; r.Status != diagnose.Skipped || !strings.Contains(r.Detail, "list failed") {
			t.Errorf("%+v", r)
		}
	}
}

func TestEndpointAndClock(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ahead  time.Duration // of the server's clock
		status diagnose.Status
		want   string
	}{
		"in time":        {0, diagnose.OK, "agrees"},
		"a little off":   {10 * time.Second, diagnose.OK, "10s behind"},
		"a minute ahead": {-time.Minute, diagnose.Warn, "1m0s ahead"},
		"an hour behind": {time.Hour, diagnose.Fail, "1h0m0s behind"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") != "" {
					t.Error("the probe is signed")
				}
				w.Header().Set("Date", now.Add(c.ahead).UTC().Format(http.TimeFormat))
				w.WriteHeader(http.StatusForbidden)
			}))
			defer server.Close()
			d := &diagnose.Doctor{Replica: "s3://bucket/app?anonymous=true&endpoint=" + server.URL, HTTP: server.Client()}
			results := examine(t, d, replica(t))
			if r := results["endpoint"]; r.Status != diagnose.OK || !strings.Contains(r.Detail, "answers after") {
				t.Errorf("%+v", r)
			}
			if r := results["clock"]; r.Status != c.status || !strings.Contains(r.Detail, c.want) {
				t.Errorf("%+v, want %s and %q", r, c.status, c.want)
			}
		})
	}
}

func TestEndpoint_ThatIsNotThere(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(nil)
	server.Close()
	d := &diagnose.Doctor{Replica: "s3://bucket/app?anonymous=true&endpoint=" + server.URL, HTTP: http.DefaultClient}
	if r := examine(t, d, replica(t))["endpoint"]; r.Status != diagnose.Fail || !errors.Is(r.Err, objstore.ErrTemporary) {
		t.Errorf("%+v", r)
	}
}

func TestCredentials_NamesTheSourceAndNeverTheValue(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		query string
		env   map[string]string
		want  string
	}{
		"anonymous":  {"?anonymous=true", nil, "none"},
		"profile":    {"?profile=work", nil, `profile "work"`},
		"AWS":        {"", map[string]string{"AWS_ACCESS_KEY_ID": "AKIASECRET", "AWS_SECRET_ACCESS_KEY": "SECRET"}, "AWS_SECRET_ACCESS_KEY in the environment"},
		"Litestream": {"", map[string]string{"LITESTREAM_ACCESS_KEY_ID": "AKIASECRET", "LITESTREAM_SECRET_ACCESS_KEY": "SECRET"}, "LITESTREAM_SECRET"},
		"session": {"", map[string]string{"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y", "AWS_SESSION_TOKEN": "SECRET"},
			"AWS_SESSION_TOKEN in"},
		"web identity": {"", map[string]string{"AWS_WEB_IDENTITY_TOKEN_FILE": "/run/token"}, "web identity"},
		"role":         {"", nil, "role of this machine"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := &diagnose.Doctor{Replica: "s3://bucket/app" + c.query, Getenv: func(name string) string { return c.env[name] }}
			r := examine(t, d, replica(t))["credentials"]
			if r.Status != diagnose.OK || !strings.Contains(r.Detail, c.want) || strings.Contains(r.Detail, "SECRET ") || strings.Contains(r.Detail, "AKIA") {
				t.Errorf("%+v, want %q", r, c.want)
			}
		})
	}
}

func TestRun_EndsWithTheContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	store := replica(t)
	d := &diagnose.Doctor{
		Replica: "file:///replica", Now: time.Now, Getenv: func(string) string { return "" },
		Open: func(context.Context) (objstore.Store, error) { cancel(); return store, nil },
	}
	n := 0
	for range d.Run(ctx) {
		n++
	}
	if n != 1 {
		t.Errorf("%d checks, although the context ended in the second", n)
	}
}
