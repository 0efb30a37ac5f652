package pages

import "context"

// aheadKey is under which the context of a request says that nobody waited when it began.
type aheadKey struct{}

// Ahead reports whether the request that a store is asked with ctx is for pages that nobody waited for when it began.
func Ahead(ctx context.Context) bool {
	ahead, _ := ctx.Value(aheadKey{}).(bool)
	return ahead
}

// onBehalf is a context with the values of the one who caused a request, so that a tracer finds the query. It does not end with it: others may
// wait for the same pages.
type onBehalf struct {
	context.Context
	cause context.Context
	ahead bool
}

func (o onBehalf) Value(key any) any {
	if key == (aheadKey{}) {
		return o.ahead
	}
	if v := o.Context.Value(key); v != nil {
		return v // before all, what it is that cancels the request
	}
	return o.cause.Value(key)
}
