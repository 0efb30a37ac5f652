// Package promise is where goroutines and JavaScript's promises meet, for js/wasm:
//
//	response, err := promise.Await(ctx, js.Global().Call("fetch", url))
//
//	js.FuncOf(func(js.Value, []js.Value) any {
//		return promise.New(func() (any, error) { … }) // may block, for it has a goroutine of its own
//	})
//
// A goroutine that waits lets the event loop go on; the callback of a [js.Func] must not wait, for the event loop waits for it.
package promise
