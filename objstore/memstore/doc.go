// Package memstore keeps objects in memory: for tests, examples and the demo.
//
// It is a small real store, not a mock: it honours every condition of the objstore contract, its ETags are the hex
// MD5 of the content as on S3, and its listings come in pages. The zero value is an empty store:
//
//	store := new(memstore.Store)
//	etag, err := store.Put(ctx, "0000/0000000000000001-0000000000000001.ltx", body, objstore.PutOptions{})
//
// Set PageSize to 2 to meet paging with three objects, and Now to choose what listings say of time. [Store.Objects]
// and [Store.Keys] look inside without counting as requests.
package memstore
