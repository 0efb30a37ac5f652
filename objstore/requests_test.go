package objstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/faultstore"
	"github.com/litefs-s3/litefs-s3/objstore/memstore"
)

// Each request is counted under its kind and how it ended; those that were not cancelled are timed.
func TestMetrics_Requests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var fails error
		m := objstore.NewMetrics(faultstore.Wrap(new(memstore.Store), faultstore.Before(func(string, string) error {
			time.Sleep(20 * time.Millisecond)
			return fails
		})))
		put := func() { m.Put(t.Context(), "a", strings.NewReader("x"), objstore.PutOptions{OnlyCreate: true}) }
		put()
		put() // is there already
		m.ReadPrefix(t.Context(), objstore.Ref{Key: "a"}, 1)
		m.ReadPrefix(t.Context(), objstore.Ref{Key: "b"}, 1)
		for _, fails = range []error{objstore.ErrAccess, objstore.ErrTemporary, errors.New("other"), context.Canceled, context.DeadlineExceeded} {
			m.List(t.Context(), "", "")
		}
		var got []string
		for kind, r := range m.Requests {
			for outcome, n := range r.Ended {
				if n > 0 {
					got = append(got, fmt.Sprint(kind, " ", outcome, " ", n))
				}
			}
			checkTook(t, kind, r)
		}
		want := "get ok 1, get not_found 1, list denied 1, list cancelled 1, list failed 3, put ok 1, put refused 1"
		if s := strings.Join(got, ", "); s != want {
			t.Errorf("got  %s\nwant %s", s, want)
		}
	})
}

// checkTook looks at the histogram of requests that took 20 ms each.
func checkTook(t *testing.T, kind objstore.Kind, r objstore.RequestStats) {
	t.Helper()
	n := map[objstore.Kind]int64{objstore.KindGet: 2, objstore.KindList: 4, objstore.KindPut: 2}[kind]
	if r.Took.Count() != n || r.Took.Sum != time.Duration(n)*20*time.Millisecond {
		t.Errorf("%s: %d took %s, want %d", kind, r.Took.Count(), r.Took.Sum, n)
	}
	for bound, below := range r.Took.Below {
		if want := map[bool]int64{true: n}[bound >= 20*time.Millisecond]; below != want {
			t.Errorf("%s: %d took at most %s, want %d", kind, below, bound, want)
		}
	}
}
