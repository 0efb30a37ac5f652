// Package sim is a world in which everything goes wrong that can, and in which nothing may be lost, mixed up or invented.
//
// One seed is one world: a bucket in memory, two or three nodes that compete for the lease and commit, readers that keep Views, travel in
// time and keep local copies, compactors with retention, and restores. One actor acts at a time. Between any two requests of an
// operation another actor may act, a request may fail, lose its answer, hang or come late, and a process may die. Time is
// that of testing/synctest: an hour of waiting costs nothing.
//
//	make sim SEEDS=2000           many worlds
//	make sim SEED=1234            one of them again
//	make sim SEED=1234 STEPS=400  and further
//
// # The model
//
// A commit is a number. It is written into every page that the commit writes, so that a page says who made it, and the image of a
// database is one number for each page. What each transaction of the bucket must be is known at the moment when its object is
// put: the object is decoded with the format's own library and must continue the one before it. From then on nobody may read
// anything else at that TXID: not from a merged file, a snapshot, a local copy, a restored file or a View that was pinned long ago.
//
// # What is checked
//
//   - Every object, at the moment when it is put, against the model; every deletion, for what can be opened after it.
//   - Every page of every View that is read. A View may expire; it may not be wrong.
//   - Every commit that returned: it is in the bucket, or in the node's log, or in a log that was set aside.
//   - In the end, with all faults off: everybody reaches the head, every moment that can be opened is right, restores and local copies
//     equal it, verify says good, nothing is left to compact, and the bucket is small.
//
// What a fault may not turn into is index.ErrCorrupt: no fault here damages a byte that the store says is there.
//
// # Replaying
//
// What becomes of a request is decided by its name and step, not by its order; each request has an instant of its own, random numbers
// of the programs come from the seed, one goroutine runs at a time, and memory is collected when the world says so. So a seed runs as it ran
// before, but for one to three of a hundred on a busy machine: the journal's sum, which a failure prints, tells whether it did. If it
// did not, run it again, and keep the story that the failure printed. What a seed has found becomes a test of the package concerned that
// needs no luck, named TestSim_….
package sim
