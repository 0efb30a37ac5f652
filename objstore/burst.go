package objstore

import "context"

// burstKey is under which a context says how many requests follow.
type burstKey struct{}

// AnnounceBurst returns a context for a request whose answer says what to ask next, in so many requests side by side. A backend that
// has to make a connection for it makes as many meanwhile, so that those who come next need not wait for that. It is a hint:
// backends without connections do not look at it, and decorators pass it on as they pass the context on.
func AnnounceBurst(ctx context.Context, n int) context.Context {
	return context.WithValue(ctx, burstKey{}, n)
}

// AnnouncedBurst is how many requests follow the one that is made with ctx; 0 when nothing was said.
func AnnouncedBurst(ctx context.Context) int {
	n, _ := ctx.Value(burstKey{}).(int)
	return n
}
