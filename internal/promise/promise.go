//go:build js && wasm

package promise

import (
	"context"
	"syscall/js"
)

// Rejection is what a promise was rejected with.
type Rejection struct{ Reason js.Value }

func (r *Rejection) Error() string {
	if message := property(r.Reason, "message"); message != "" {
		return message
	}
	return js.Global().Get("String").Invoke(r.Reason).String()
}

// Name is that of the reason, if it is an Error: "TypeError".
func (r *Rejection) Name() string { return property(r.Reason, "name") }

// property is a property that is a string, or empty.
func property(v js.Value, name string) string {
	if v.Type() != js.TypeObject {
		return ""
	}
	if p := v.Get(name); p.Type() == js.TypeString {
		return p.String()
	}
	return ""
}

// settled is how a promise ended.
type settled struct {
	value js.Value
	err   error
}

// Await waits for a promise, or for ctx to end. Anything else than a promise is its own value. A rejection is a *Rejection.
func Await(ctx context.Context, p js.Value) (js.Value, error) {
	done := make(chan settled, 1)
	var fulfilled, rejected js.Func
	end := func(s settled) any {
		done <- s
		fulfilled.Release() // only now: a promise that nobody waits for any more is settled all the same
		rejected.Release()
		return nil
	}
	fulfilled = js.FuncOf(func(_ js.Value, args []js.Value) any { return end(settled{value: args[0]}) })
	rejected = js.FuncOf(func(_ js.Value, args []js.Value) any { return end(settled{err: &Rejection{args[0]}}) })
	js.Global().Get("Promise").Call("resolve", p).Call("then", fulfilled, rejected)
	select {
	case s := <-done:
		return s.value, s.err
	case <-ctx.Done():
		return js.Undefined(), ctx.Err()
	}
}

// New returns a promise of what do returns, which runs in a goroutine of its own. reason makes of an error what the promise is
// rejected with.
func New(do func() (any, error), reason func(error) js.Value) js.Value {
	var executor js.Func
	executor = js.FuncOf(func(_ js.Value, args []js.Value) any {
		executor.Release()
		resolve, reject := args[0], args[1]
		go func() {
			value, err := do()
			if err != nil {
				reject.Invoke(reason(err))
				return
			}
			resolve.Invoke(value)
		}()
		return nil
	})
	return js.Global().Get("Promise").New(executor)
}
