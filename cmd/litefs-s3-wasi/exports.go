//go:build wasip1

package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
	"unsafe"

	"github.com/litefs-s3/litefs-s3/cmd/litefs-s3-wasi/internal/engine"
	"github.com/litefs-s3/litefs-s3/internal/wasiabi"
)

// main is not called: the module is a reactor.
func main() {}

// What the host has opened. It makes one call at a time.
var (
	replica *engine.Replica
	query   *engine.Query
	running *interrupt // of the call, or of query

	request []byte // what the host writes into before a call
	answer  []byte // what it reads after one; until the next call
)

// alloc returns where the host may write n bytes, for its next call.
//
//go:wasmexport alloc
func alloc(n uint32) uint32 {
	if uint32(cap(request)) < n || cap(request) > 1<<20 {
		request = make([]byte, n)
	}
	request = request[:n]
	return address(request)
}

// open opens the replica: JSON in, JSON out.
//
//go:wasmexport open
func open(n uint32) uint64 {
	hostTick() // so that the linker does not leave it out
	var o wasiabi.Open
	if err := json.Unmarshal(request[:n], &o); err != nil {
		return fail(fmt.Errorf("%w: %w", engine.ErrUsage, err))
	}
	if o.Version != wasiabi.Version {
		return fail(fmt.Errorf("%w: the host speaks version %d of the ABI and this module %d; build both from one source", engine.ErrUsage, o.Version, wasiabi.Version))
	}
	if replica != nil {
		return fail(fmt.Errorf("%w: a replica is open already; close it", engine.ErrUsage))
	}
	if o.Memory > 0 {
		debug.SetMemoryLimit(o.Memory - headroom)
	}
	running = newInterrupt()
	defer endQuery()
	r, err := engine.Open(running, store{}, engine.Options{
		Time: o.Time, TXID: o.TXID, PollInterval: time.Duration(o.Poll) * time.Millisecond, CacheSize: o.Cache, Memory: o.SQL,
	})
	if err != nil {
		return fail(err)
	}
	v, err := r.View(running)
	if err != nil {
		r.Close()
		return fail(err)
	}
	replica = r
	text, err := json.Marshal(wasiabi.Opened{
		TXID: v.TXID.String(), Time: v.Time.Format(time.RFC3339Nano), PageSize: v.PageSize, Pages: v.Commit,
	})
	if err != nil {
		return fail(err)
	}
	return give(append(append(answer[:0], wasiabi.More), text...))
}

// headroom is what the garbage collector should leave free of the memory: the limit is the host's, and hard.
const headroom = 6 << 20

// beginQuery begins a statement and returns the names of its columns. One that is under way ends.
//
//go:wasmexport query
func beginQuery(n uint32) uint64 {
	endQuery()
	if replica == nil {
		return fail(fmt.Errorf("%w: no replica is open", engine.ErrUsage))
	}
	sql, args, err := wasiabi.ParseQuery(request[:n])
	if err != nil {
		return fail(fmt.Errorf("%w: %w", engine.ErrUsage, err))
	}
	running = newInterrupt()
	if query, err = replica.Query(running, sql, args); err != nil {
		endQuery()
		return fail(err)
	}
	return give(wasiabi.AppendColumns(append(answer[:0], wasiabi.More), query.Columns()))
}

// next returns the next rows of the statement.
//
//go:wasmexport next
func next() uint64 {
	if query == nil {
		return fail(fmt.Errorf("%w: no statement is under way", engine.ErrUsage))
	}
	const header = 5
	batch, rows, end, err := query.Next(running, append(answer[:0], make([]byte, header)...))
	if err != nil {
		endQuery()
		return fail(err)
	}
	batch[0] = wasiabi.More
	if end {
		batch[0] = wasiabi.End
		endQuery()
	}
	binary.LittleEndian.PutUint32(batch[1:], rows)
	return give(batch)
}

// endQuery ends the statement, wherever it is. It does nothing when there is none.
//
//go:wasmexport end_query
func endQuery() {
	if query != nil {
		query.Close()
	}
	if running != nil {
		running.end()
	}
	query, running = nil, nil
	if cap(answer) > 1<<20 {
		answer = nil
	}
}

// closeReplica closes what open has opened.
//
//go:wasmexport close
func closeReplica() {
	endQuery()
	if replica != nil {
		replica.Close()
	}
	replica = nil
}

// fail returns an error to the host.
func fail(err error) uint64 {
	if errors.Is(err, context.Canceled) && !errors.Is(err, engine.ErrInterrupted) {
		err = fmt.Errorf("%w: %w", engine.ErrInterrupted, err)
	}
	return give(wasiabi.AppendFailure(answer[:0], engine.FailureOf(err)))
}

// give keeps a message until the next call and returns where it lies.
func give(message []byte) uint64 {
	answer = message
	return wasiabi.Pack(address(message), uint32(len(message)))
}

func address(b []byte) uint32 { return uint32(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) }
