package sandbox

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/litefs-s3/litefs-s3/internal/stoppable"
)

// engine is a compiled module. All sandboxes of a process that run the same module share one: machine code takes 70 MB.
type engine struct {
	id      engineID
	ready   chan struct{} // closed when what follows is set
	err     error
	runtime wazero.Runtime
	module  wazero.CompiledModule
	cache   wazero.CompilationCache

	uses int // guarded by engines.mu
}

type engineID struct {
	module   [sha256.Size]byte
	cacheDir string
}

// engines are those in use.
var engines = struct {
	mu  sync.Mutex
	all map[engineID]*engine // guarded by mu
}{all: map[engineID]*engine{}}

// acquire returns the engine of a module, compiled. Release it.
func acquire(ctx context.Context, wasm []byte, cacheDir string, compiling func(), log *slog.Logger) (*engine, error) {
	id := engineID{sha256.Sum256(wasm), cacheDir}
	engines.mu.Lock()
	e, ok := engines.all[id]
	if !ok {
		e = &engine{id: id, ready: make(chan struct{})}
		engines.all[id] = e
	}
	e.uses++
	engines.mu.Unlock()
	if !ok {
		go func() { // whoever comes meanwhile waits for it, too: it must not end with the context of the first
			defer close(e.ready)
			e.err = e.compile(context.WithoutCancel(ctx), wasm, compiling, log)
		}()
	}
	select {
	case <-e.ready:
	case <-ctx.Done():
		e.release()
		return nil, fmt.Errorf("sandbox: waiting for the module to be compiled: %w", context.Cause(ctx))
	}
	if e.err != nil {
		e.release()
		return nil, e.err
	}
	return e, nil
}

// release gives up one use. The last one frees the machine code.
func (e *engine) release() {
	engines.mu.Lock()
	e.uses--
	last := e.uses == 0
	if last {
		delete(engines.all, e.id)
	}
	engines.mu.Unlock()
	if !last {
		return
	}
	select {
	case <-e.ready:
		e.free()
	default: // nobody waits for it any more; wazero cannot be interrupted
		go func() {
			<-e.ready
			e.free()
		}()
	}
}

func (e *engine) free() {
	ctx := context.Background()
	if e.runtime != nil {
		e.runtime.Close(ctx) //nolint:errcheck // instances are closed before, and nothing else can fail
	}
	if e.cache != nil {
		e.cache.Close(ctx) //nolint:errcheck // the same
	}
}

func (e *engine) compile(ctx context.Context, wasm []byte, compiling func(), log *slog.Logger) error {
	if !stoppable.Is(wasm) {
		return fmt.Errorf(`%w: the module given cannot be stopped while it runs; build one with "make sandbox"`, ErrModule)
	}
	var err error
	began := time.Now()
	if e.cache, err = openCache(e.id.cacheDir, e.id.module); err != nil {
		return err
	}
	// No WithCloseOnContextDone: it makes each loop of the module call the host. Package stoppable has the other way.
	e.runtime = wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCompilationCache(e.cache))
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, e.runtime); err != nil {
		return errors.Join(ErrModule, err)
	}
	if err := instantiateHost(ctx, e.runtime); err != nil {
		return errors.Join(ErrModule, err)
	}
	if compiling != nil && !holdsCode(e.id) {
		compiling()
	}
	ctx = experimental.WithCompilationWorkers(ctx, runtime.GOMAXPROCS(0))
	if e.module, err = e.runtime.CompileModule(ctx, wasm); err != nil {
		return fmt.Errorf("%w: it does not compile: %w", ErrModule, err)
	}
	log.LogAttrs(ctx, slog.LevelInfo, "sandbox module compiled, or read from where it was kept",
		slog.String("dir", e.id.cacheDir), slog.Duration("took", time.Since(began)))
	return nil
}
