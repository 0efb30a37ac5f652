//go:build unix

package main

import (
	"syscall"
	"testing"
	"time"

	"github.com/litefs-s3/litefs-s3/examples/internal/world"
)

// A process that was frozen while something was written, as Lambda freezes one between two events, answers with what was written.
func TestFrozen(t *testing.T) {
	w := world.New(t)
	source := fill(t, w)
	cloud := newCloud(t)
	p := w.Run(t, cloud.env(w.URL("app")))
	if r := cloud.ask(t, "/users/7", time.Minute); r.Body != user(7, 20) {
		t.Fatalf("got %+v", r)
	}
	p.Signal(t, syscall.SIGSTOP)
	source.Exec(t, "INSERT INTO posts(user_id, body) VALUES (7, 'news')")
	source.Sync(t)
	time.Sleep(2500 * time.Millisecond) // more than StaleAfter
	p.Signal(t, syscall.SIGCONT)
	if r := cloud.ask(t, "/users/7", time.Minute); r.Body != user(7, 21) {
		t.Errorf("the first answer after the frost is %s", r.Body)
	}
}
