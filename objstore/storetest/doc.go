// Package storetest checks that a store keeps the objstore contract, exactly.
//
// A new backend or decorator is one line in a test:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) objstore.Store { return new(memstore.Store) })
//	}
//
// Every key used is that of an LTX file, so that stores with a fixed layout pass as well; [RunKeys] adds keys of
// every other kind. [RunReadOnly] is for stores that cannot write: it wants a function that opens a store holding
// the given objects.
package storetest
