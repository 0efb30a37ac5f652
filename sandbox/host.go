package sandbox

import (
	"context"
	"errors"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/litefs-s3/litefs-s3/internal/wasiabi"
)

// instanceKey is where a context has the instance that a call is made in.
type instanceKey struct{}

func instanceOf(ctx context.Context) *instance { return ctx.Value(instanceKey{}).(*instance) }

// errKilled ends a module from within; why it had to be is in its verdict.
var errKilled = errors.New("the module did not stop when it was asked to")

// instantiateHost provides what the module imports: docs/wasi-abi.md.
func instantiateHost(ctx context.Context, r wazero.Runtime) error {
	i32, i64 := api.ValueTypeI32, api.ValueTypeI64
	b := r.NewHostModuleBuilder(wasiabi.Module)
	add := func(name string, params, results []api.ValueType, fn api.GoModuleFunc) {
		b.NewFunctionBuilder().WithGoModuleFunction(fn, params, results).Export(name)
	}
	add("begin", []api.ValueType{i32, i32}, []api.ValueType{i32}, func(ctx context.Context, m api.Module, stack []uint64) {
		request, ok := m.Memory().Read(uint32(stack[0]), uint32(stack[1]))
		if !ok {
			panic(wasiabi.ErrFormat) // a trap: the module is not what it should be
		}
		stack[0] = uint64(instanceOf(ctx).requests.begin(request))
	})
	add("poll", nil, []api.ValueType{i64}, func(ctx context.Context, _ api.Module, stack []uint64) {
		stack[0] = instanceOf(ctx).requests.poll()
	})
	add("take", []api.ValueType{i32, i32}, nil, func(ctx context.Context, m api.Module, stack []uint64) {
		if !m.Memory().Write(uint32(stack[1]), instanceOf(ctx).requests.take(uint32(stack[0]))) {
			panic(wasiabi.ErrFormat)
		}
	})
	add("cancel", []api.ValueType{i32}, nil, func(ctx context.Context, _ api.Module, stack []uint64) {
		instanceOf(ctx).requests.cancel(uint32(stack[0]))
	})
	add("stop", nil, []api.ValueType{i32}, func(ctx context.Context, _ api.Module, stack []uint64) {
		stack[0] = 0
		if instanceOf(ctx).verdict.Load() != nil {
			stack[0] = 1
		}
	})
	add(wasiabi.Tick, nil, nil, func(ctx context.Context, _ api.Module, _ []uint64) {
		if instanceOf(ctx).killed.Load() {
			panic(errKilled) // a trap
		}
	})
	_, err := b.Instantiate(ctx)
	return err
}
