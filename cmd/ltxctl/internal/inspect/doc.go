// Package inspect finds out about a replica without reading the database in it: what each file holds, which moments can be opened
// and what the newest one costs, and whether something is wrong.
//
//	summary, err := inspect.Replica(ctx, store, metrics, time.Now())
//
// It reads listings, headers and page indexes, a few requests in all.
package inspect
