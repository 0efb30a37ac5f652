//go:build wasip1

package main

import (
	"context"
	"encoding/json"
	"time"

	"github.com/litefs-s3/litefs-s3/internal/wasiabi"
)

// requests are those that the host works on.
var requests = pump{waiting: map[uint32]chan []byte{}}

// pump brings answers to those who wait for them. The module has one thread, so nothing in it is guarded, and nobody can call it: while
// requests are under way a goroutine asks the host for answers, and sleeps between that, so that SQL goes on.
type pump struct {
	waiting map[uint32]chan []byte
	running bool
}

// pause is between two looks for answers. A round trip to a bucket takes a hundred times as long.
const pause = 100 * time.Microsecond

// do makes a request and returns its answer.
func (p *pump) do(ctx context.Context, req wasiabi.Request) ([]byte, error) {
	text, err := json.Marshal(req)
	if err != nil {
		return nil, err
	}
	id := hostBegin(address(text), uint32(len(text)))
	done := make(chan []byte, 1)
	p.waiting[id] = done
	if !p.running {
		p.running = true
		go p.run()
	}
	select {
	case b := <-done:
		return b, nil
	case <-ctx.Done():
		if _, ok := p.waiting[id]; ok {
			delete(p.waiting, id)
			hostCancel(id)
		}
		return nil, context.Cause(ctx)
	}
}

func (p *pump) run() {
	for len(p.waiting) > 0 {
		if !p.deliver() {
			if running != nil {
				running.Err() //nolint:errcheck // asks the host, and wakes those who wait when they should stop
			}
			time.Sleep(pause)
		}
	}
	p.running = false
}

// deliver hands on one answer. It is false when there is none.
func (p *pump) deliver() bool {
	at := hostPoll()
	if at == 0 {
		return false
	}
	id, size := wasiabi.Unpack(at)
	b := make([]byte, size)
	hostTake(id, address(b))
	if done, ok := p.waiting[id]; ok {
		delete(p.waiting, id)
		done <- b
	}
	return true
}
