// Package engine is the reading half of litefs-s3 without the root package, whose stores would bring the AWS SDK and net/http along: a
// replica on somebody else's store, and statements on it.
//
//	r, err := engine.Open(ctx, store, engine.Options{})
//	q, err := r.Query(ctx, "SELECT name FROM users WHERE id = ?", []wasiabi.Argument{{Value: int64(7)}})
//	batch, end, err := q.Next(nil)
//	q.Close()
//
// Each statement has a connection of its own, so nothing of one is left for the next; pages and the place in the replica are kept. Nothing
// runs in the background: a query looks for news when the last look was too long ago.
package engine
