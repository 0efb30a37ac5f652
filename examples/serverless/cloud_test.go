package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// cloud is Lambda's side of the runtime interface.
type cloud struct {
	server  *httptest.Server
	events  chan invocation
	answers chan answer
	count   atomic.Int64
}

type invocation struct {
	id       int64
	event    string
	deadline time.Time
}

type answer struct {
	id   string
	kind string // "response" or "error"
	body []byte
}

func newCloud(t testing.TB) *cloud {
	t.Helper()
	c := &cloud{events: make(chan invocation), answers: make(chan answer)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", c.next)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/{kind}", c.take)
	c.server = httptest.NewServer(mux)
	t.Cleanup(func() {
		c.server.CloseClientConnections() // the function waits for an event that does not come
		c.server.Close()
	})
	return c
}

// env are the variables that Lambda sets.
func (c *cloud) env(replica string) []string {
	return []string{"AWS_LAMBDA_RUNTIME_API=" + strings.TrimPrefix(c.server.URL, "http://"), "LITESTREAM_REPLICA_URL=" + replica}
}

func (c *cloud) next(w http.ResponseWriter, r *http.Request) {
	select {
	case e := <-c.events:
		w.Header().Set("Lambda-Runtime-Aws-Request-Id", fmt.Sprint(e.id))
		w.Header().Set("Lambda-Runtime-Deadline-Ms", fmt.Sprint(e.deadline.UnixMilli()))
		io.WriteString(w, e.event)
	case <-r.Context().Done():
	}
}

func (c *cloud) take(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	w.WriteHeader(http.StatusAccepted)
	select {
	case c.answers <- answer{r.PathValue("id"), r.PathValue("kind"), body}:
	case <-r.Context().Done():
	}
}

// ask sends a request to the function and waits for what it makes of it.
func (c *cloud) ask(t testing.TB, path string, within time.Duration) (r response) {
	t.Helper()
	event := fmt.Sprintf(`{"version":"2.0","rawPath":%q,"headers":{"accept":"*/*"},"requestContext":{"http":{"method":"GET"}}}`, path)
	a := c.invoke(t, event, within)
	if err := json.Unmarshal(a.body, &r); err != nil || a.kind != "response" {
		t.Fatalf("%s was answered with %s: %s (%v)", path, a.kind, a.body, err)
	}
	return r
}

// invoke hands an event to the function and waits for the answer.
func (c *cloud) invoke(t testing.TB, event string, within time.Duration) answer {
	t.Helper()
	id := c.count.Add(1)
	timeout := time.After(2 * time.Minute)
	select {
	case c.events <- invocation{id, event, time.Now().Add(within)}:
	case <-timeout:
		t.Fatal("the function asks for no event")
	}
	select {
	case a := <-c.answers:
		if a.id != fmt.Sprint(id) {
			t.Fatalf("event %d was answered as %s: %s", id, a.id, a.body)
		}
		return a
	case <-timeout:
		t.Fatal("the function does not answer")
	}
	return answer{}
}
