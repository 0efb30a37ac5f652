//go:build js && wasm

package main

import (
	"context"
	"syscall/js"
	"time"
)

// breathe makes a context that lets the event loop have its turn. Go's scheduler goes back to it only when all goroutines wait, which
// they do not while SQLite computes: no message would arrive, not even the one that cancels the statement. SQLite asks Err every few
// microseconds, and so every now and then Err waits for a message that it sends to itself.
func breathe(ctx context.Context) context.Context { return &breathing{Context: ctx, last: time.Now()} }

type breathing struct {
	context.Context
	last time.Time
}

// everySoOften is short for whoever presses a button, and long for SQLite.
const everySoOften = 20 * time.Millisecond

func (b *breathing) Err() error {
	if now := time.Now(); now.Sub(b.last) >= everySoOften {
		air.wait()
		b.last = time.Now()
	}
	return b.Context.Err()
}

// loop is a way round through the event loop.
type loop struct {
	port    js.Value
	waiting []chan struct{}
}

// air is that of the program. A timer would be throttled; a message is not.
var air = newLoop()

func newLoop() *loop {
	l := new(loop)
	channel := js.Global().Get("MessageChannel").New()
	channel.Get("port1").Set("onmessage", js.FuncOf(func(js.Value, []js.Value) any {
		for _, ch := range l.waiting {
			close(ch)
		}
		l.waiting = nil
		return nil
	}))
	l.port = channel.Get("port2")
	return l
}

// wait returns when everything that was in the event loop's queue has had its turn.
func (l *loop) wait() {
	ch := make(chan struct{})
	l.waiting = append(l.waiting, ch)
	if len(l.waiting) == 1 {
		l.port.Call("postMessage", nil)
	}
	<-ch
}
