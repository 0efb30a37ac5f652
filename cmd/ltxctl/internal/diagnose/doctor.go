package diagnose

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strings"
	"time"

	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/inspect"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/objstore/s3store"
)

// Status is how a check ended.
type Status string

// The ways a check can end.
const (
	OK      Status = "ok"
	Warn    Status = "warn"
	Fail    Status = "FAIL"
	Skipped Status = "skipped"
)

// Result is what one check found.
type Result struct {
	Name   string  `json:"check"`
	Status Status  `json:"status"`
	Detail string  `json:"detail"`
	Todo   string  `json:"todo,omitempty"` // what to do about it
	Took   float64 `json:"seconds"`
	Err    error   `json:"-"`
}

// Doctor examines one replica.
type Doctor struct {
	Replica string              // URL
	Shown   string              // the same without what may be secret
	Getenv  func(string) string // environment
	Now     func() time.Time
	Write   bool // also try to put and delete

	// Open returns the store of the replica.
	Open func(context.Context) (objstore.Store, error)
	// Query runs SQL on the newest state and returns the first column.
	Query func(ctx context.Context, sql string) ([]string, error)
	// HTTP sends a request without credentials to the endpoint. Nil leaves the endpoint unchecked.
	HTTP *http.Client

	s3     *s3store.Config // nil unless the replica is in S3
	prefix string          // in the bucket
	date   time.Time       // the endpoint's clock
	asked  time.Time       // when it was that time here
	store  objstore.Store
	files  []*inspect.File
	left   bool // the scratch object is in the store
}

// checkTime bounds each check.
const checkTime = 20 * time.Second

// check is one step. It returns a detail for people; an error fails it.
type check struct {
	name string
	run  func(d *Doctor, ctx context.Context) (string, error)
}

var checks = []check{
	{"url", (*Doctor).url},
	{"credentials", (*Doctor).credentials},
	{"endpoint", (*Doctor).endpoint},
	{"clock", (*Doctor).clock},
	{"list", (*Doctor).list},
	{"replica", (*Doctor).replica},
	{"get", (*Doctor).get},
	{"chain", (*Doctor).chain},
	{"open", (*Doctor).openDatabase},
	{"write", (*Doctor).put},
	{"conditions", (*Doctor).conditions},
	{"delete", (*Doctor).remove},
}

// warning is an error that does not stop the examination.
type warning struct{ detail, todo string }

func (w *warning) Error() string { return w.detail }

// notChecked is an error that says why a check has nothing to do here.
type notChecked string

func (n notChecked) Error() string { return string(n) }

// withTodo adds what to do to an error.
type withTodo struct {
	error
	todo string
}

func (e *withTodo) Unwrap() error { return e.error }

func advise(err error, todo string) error { return &withTodo{err, todo} }

// Run examines the replica and yields each result as it comes. After a failure the rest is skipped. It stops when ctx ends.
func (d *Doctor) Run(ctx context.Context) iter.Seq[Result] {
	return func(yield func(Result) bool) {
		defer d.cleanUp(ctx)
		failed := ""
		for _, c := range checks {
			r := Result{Name: c.name, Status: Skipped, Detail: "not reached: " + failed + " failed"}
			if failed == "" {
				r = d.try(ctx, c)
			}
			if r.Status == Fail {
				failed = c.name
			}
			if ctx.Err() != nil || !yield(r) { // what the end of the context breaks says nothing
				return
			}
		}
	}
}

func (d *Doctor) try(ctx context.Context, c check) Result {
	limited, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	start := time.Now()
	detail, err := c.run(d, limited)
	r := Result{Name: c.name, Status: OK, Detail: detail, Took: time.Since(start).Seconds(), Err: err}
	if err == nil {
		return r
	}
	if w, ok := errors.AsType[*warning](err); ok {
		r.Status, r.Detail, r.Todo, r.Err = Warn, w.detail, w.todo, nil
		return r
	}
	if n, ok := errors.AsType[notChecked](err); ok {
		r.Status, r.Detail, r.Err = Skipped, string(n), nil
		return r
	}
	r.Status, r.Detail = Fail, err.Error()
	if limited.Err() != nil && ctx.Err() == nil {
		r.Detail = fmt.Sprintf("no answer within %s", checkTime)
		r.Todo = "check the network, the endpoint, and what lies between"
	}
	if t, ok := errors.AsType[*withTodo](err); ok {
		r.Todo = t.todo
	}
	return r
}

func (d *Doctor) url(context.Context) (string, error) {
	if !strings.HasPrefix(d.Replica, "s3:") {
		return d.Shown, nil
	}
	cfg, prefix, err := s3store.ParseURL(d.Replica)
	if err != nil {
		return "", advise(err, "see ltxctl help replica-url")
	}
	d.s3, d.prefix = &cfg, prefix
	detail := fmt.Sprintf("bucket %s, path %s", cfg.Bucket, prefix)
	if cfg.Region != "" {
		detail += ", region " + cfg.Region
	}
	return detail, nil
}
