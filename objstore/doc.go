// Package objstore is the contract between litefs-s3 and a place that keeps objects: keys and bytes, nothing else.
//
// A store is anything that can read ranges, list keys in byte order, and put and delete whole objects. The rules are
// exact, because everything above relies on them, and the suite in storetest checks every backend against them:
//
//   - a range is delivered whole or not at all, never short;
//   - a missing object is [ErrNotFound], one that is not the version asked for is [ErrChanged], one that ends before
//     the range does is [ErrShortObject]; no right is [ErrAccess];
//   - a listing is in byte order of keys and continues after any key, present or not;
//   - a create-only put succeeds for one caller and is [ErrExists] for every other one.
//
// Backends are sub-packages: s3store (AWS SDK), filestore (a directory), httpstore (read-only https), memstore (tests
// and the demo) and faultstore (a store that fails on demand). [Retry], [Limit], [Hedge], [Metrics], [WithPrefix] and
// [ReadOnly] are decorators: a Store around a Store. Composed, from the outside in: Retry, so that pauses take no slot;
// Limit, so that waiting is not measured; Hedge, which asks again for what is late; Metrics, which counts what goes over
// the wire; WithPrefix; the backend.
//
// Keys are clean relative paths, see [ValidateKey]; a whole replica is used through WithPrefix, so that its keys begin
// with the level.
//
// An example, with the memory backend:
//
//	store := new(memstore.Store)
//	_, err := store.Put(ctx, "app/0000/0000000000000001-0000000000000001.ltx", body,
//		objstore.PutOptions{OnlyCreate: true})
//	part, err := store.ReadSuffix(ctx, objstore.Ref{Key: "app/0000/…"}, 64<<10) // the last 64 KiB, or all of it
package objstore
