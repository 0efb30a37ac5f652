package sandbox

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/litefs-s3/litefs-s3/internal/wasiabi"
)

// grace is what an instance has to stop by itself. A slow machine needs some of it to come by the next look at the host.
const grace = 500 * time.Millisecond

// openTime is how long the module may run to open the replica, when Limits.Time is less.
const openTime = 30 * time.Second

// instance is a module with a memory, and a replica open in it. It is used by one goroutine at a time; timers and contexts reach it
// through verdict and killed only.
type instance struct {
	module   api.Module
	memory   *memory
	requests *requests
	stderr   stderr
	limits   Limits
	cancel   context.CancelFunc // of its requests

	left    time.Duration         // of Limits.Time for this statement
	fetch   atomic.Int64          // of Limits.Fetch
	verdict atomic.Pointer[error] // why what runs is to end; nil while it may go on
	killed  atomic.Bool           // it did not end in time
	dead    bool                  // it is of no use any more
}

// newInstance makes an instance and opens the replica in it.
func newInstance(ctx context.Context, e *engine, store Store, o Options) (*instance, error) {
	running, cancel := context.WithCancel(context.Background())
	i := &instance{memory: newMemory(o.Limits.Memory), requests: newRequests(running, store), limits: o.Limits, cancel: cancel}
	i.requests.stop, i.requests.budget, i.requests.most = i.stop, i.spend, o.Limits.Memory
	if err := i.start(ctx, e, o); err != nil {
		i.close()
		return nil, err
	}
	return i, nil
}

func (i *instance) start(ctx context.Context, e *engine, o Options) error {
	i.begin()
	i.left = max(i.left, openTime) // what opening takes is not the statement's fault
	config := wazero.NewModuleConfig().WithName("").WithStartFunctions("_initialize").
		WithSysWalltime().WithSysNanotime().WithNanosleep(nap).WithRandSource(rand.Reader).WithStderr(&i.stderr)
	allocator := experimental.MemoryAllocatorFunc(func(uint64, uint64) experimental.LinearMemory { return i.memory })
	err := i.during(ctx, func(ctx context.Context) (err error) {
		i.module, err = e.runtime.InstantiateModule(experimental.WithMemoryAllocator(ctx, allocator), e.module, config)
		return err
	})
	if err != nil {
		return fmt.Errorf("sandbox: instance: %w", err)
	}
	sql, cache := o.Limits.shares()
	if o.sql > 0 {
		sql = o.sql
	}
	text, err := json.Marshal(wasiabi.Open{
		Version: wasiabi.Version, Time: o.Time, TXID: o.TXID, Poll: o.poll(), Memory: o.Limits.Memory, SQL: sql, Cache: cache,
	})
	if err != nil {
		return err
	}
	_, err = i.call(ctx, "open", text)
	return err
}

// nap sleeps as long as the module likes, and never so long that it cannot be stopped: it then sleeps again.
func nap(ns int64) {
	const longest = 10 * time.Millisecond
	time.Sleep(min(time.Duration(ns), longest))
}

// begin gives the instance the limits for a statement.
func (i *instance) begin() {
	i.left = i.limits.Time
	i.fetch.Store(i.limits.Fetch)
	i.verdict.Store(nil)
	i.requests.failure() //nolint:errcheck // that of an earlier statement
}

// stop ends what runs, and err is why. The first one counts.
func (i *instance) stop(err error) { i.verdict.CompareAndSwap(nil, &err) }

// spend takes n bytes of what may be fetched.
func (i *instance) spend(n int64) bool { return i.limits.Fetch < 0 || i.fetch.Add(-n) >= 0 }

// during runs fn, which runs the module, within the time that is left. An error says why the module has ended, which it then has.
func (i *instance) during(ctx context.Context, fn func(context.Context) error) error {
	if i.dead {
		return ErrEnded
	}
	began := time.Now()
	release := i.watch(ctx)
	err := fn(context.WithValue(context.WithoutCancel(ctx), instanceKey{}, i))
	release()
	if i.limits.Time > 0 {
		i.left -= time.Since(began)
	}
	i.dead = err != nil || i.killed.Load()
	if err == nil {
		return nil
	}
	return i.explain(err)
}

// watch has the module stop when ctx ends or the time is over: first it is asked to, then made to.
func (i *instance) watch(ctx context.Context) (release func()) {
	ended := make(chan struct{})
	joined := make(chan struct{})
	go func() {
		defer close(joined)
		var over <-chan time.Time
		if i.limits.Time > 0 {
			timer := time.NewTimer(max(i.left, 0))
			defer timer.Stop()
			over = timer.C
		}
		select {
		case <-ended:
			return
		case <-ctx.Done():
			i.stop(context.Cause(ctx))
		case <-over:
			i.stop(ErrTime)
		}
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-ended:
		case <-timer.C:
			i.killed.Store(true)
		}
	}()
	return func() { close(ended); <-joined }
}

// explain says why the module has ended.
func (i *instance) explain(err error) error {
	switch why := i.verdict.Load(); {
	case why != nil:
		return *why
	case i.memory.refused.Load():
		return ErrMemory
	}
	return fmt.Errorf("%w, which is a fault of it: %w\n%s", ErrEnded, err, i.stderr.text())
}

// call calls an export with a message, and returns what comes after the state in its answer. The answer is valid until the next call.
func (i *instance) call(ctx context.Context, name string, message []byte) ([]byte, error) {
	_, body, err := i.exchange(ctx, name, message)
	return body, err
}

// next asks for rows.
func (i *instance) next(ctx context.Context) (rows uint32, batch []byte, end bool, err error) {
	state, body, err := i.exchange(ctx, "next", nil)
	if err != nil {
		return 0, nil, false, err
	}
	if len(body) < 4 {
		return 0, nil, false, wasiabi.ErrFormat
	}
	return binary.LittleEndian.Uint32(body), body[4:], state == wasiabi.End, nil
}

func (i *instance) exchange(ctx context.Context, name string, message []byte) (state byte, body []byte, err error) {
	err = i.during(ctx, func(ctx context.Context) error {
		var at uint64
		if at, err = i.invoke(ctx, name, message); err != nil {
			return err
		}
		answer, ok := i.module.Memory().Read(wasiabi.Unpack(at))
		if !ok || len(answer) == 0 {
			return wasiabi.ErrFormat
		}
		state, body = answer[0], answer[1:]
		return nil
	})
	if err != nil || state != wasiabi.Error {
		return state, body, err
	}
	var f wasiabi.Failure
	if err := json.Unmarshal(body, &f); err != nil {
		return 0, nil, errors.Join(wasiabi.ErrFormat, err)
	}
	if why := i.verdict.Load(); why != nil {
		return 0, nil, *why // it stopped because it was asked to
	}
	return 0, nil, errorOf(f, i.requests.failure())
}

// invoke writes a message into the module's memory and calls an export with its length.
func (i *instance) invoke(ctx context.Context, name string, message []byte) (uint64, error) {
	var params []uint64
	if message != nil {
		at, err := i.module.ExportedFunction("alloc").Call(ctx, uint64(len(message)))
		if err != nil {
			return 0, err
		}
		if !i.module.Memory().Write(uint32(at[0]), message) {
			return 0, wasiabi.ErrFormat
		}
		params = []uint64{uint64(len(message))}
	}
	results, err := i.module.ExportedFunction(name).Call(ctx, params...)
	if err != nil || len(results) == 0 {
		return 0, err
	}
	return results[0], nil
}

// endQuery ends the statement. It is false when the instance is of no use any more.
func (i *instance) endQuery() bool {
	if i.dead {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	i.verdict.Store(nil)
	i.left = grace
	return i.during(ctx, func(ctx context.Context) error {
		_, err := i.invoke(ctx, "end_query", nil)
		return err
	}) == nil
}

// close ends the instance and its requests.
func (i *instance) close() {
	i.cancel()
	i.requests.wg.Wait()
	if i.module != nil {
		i.module.Close(context.Background()) //nolint:errcheck // it has nothing open
	}
}
