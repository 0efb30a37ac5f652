// Package lease decides who should try to write to a replica: one object, lock.json, with an owner and a deadline.
//
//	l, err := lease.Acquire(ctx, store, lease.Options{Owner: "web-1:4711"})
//	var held *lease.HeldError
//	if errors.As(err, &held) { … held.Owner has it until held.Expires … }
//	err = l.Renew(ctx)      // well before l.Deadline()
//	err = l.Release(ctx)    // the next one need not wait for the deadline
//
// The object is Litestream's: {"generation":7,"expires_at":"…","owner":"…"}, and two members that Litestream does not look at: a
// nonce, by which its owner knows it again when the answer to a request was lost, and whether it was released. It is never deleted:
// the generation grows for ever, and each change is a put under the condition that nobody else has changed it.
//
// A lease saves work, it does not protect data. Clocks may be wrong and processes may sleep: two may believe for a moment that they
// have it. What protects the data is that a transaction of the replica is an object that only one of them can create.
package lease
