// Package compact keeps a replica small, sound and restorable: it merges levels, makes snapshots, and removes what nobody needs any
// more. What it makes is what Litestream would have made, and opens with it.
//
//	c, err := compact.New(store, compact.Options{})
//	plan, err := c.Plan(ctx)           // one listing, a few headers; nothing is changed
//	fmt.Print(plan)                    // what will be made of what, what will go, what it costs
//	report, err := c.Run(ctx, plan)    // does it
//
//	wg.Go(func() { c.Watch(ctx) })     // or all of that at every interval, until ctx ends
//
// [Compactor.PlanSnapshot] makes a snapshot on demand, [Compactor.Push] a replica of a database file, and
// [Compactor.PlanRepair] a way out when transactions are missing.
//
// # Levels
//
// Say a writer uploads a transaction every ten seconds, and level 1 has an interval of 30 s:
//
//	L0  1-1 2-2 3-3 | 4-4 5-5 6-6 | 7-7        | is a multiple of 30 s, by the times in the files' headers
//	L1  1-3           4-6                      7 waits until its interval is over
//
// A file of a level holds what was written within one interval, neither more nor less. So it does not matter when one looks, how
// often, or whether two do at once: the same files come out, under the same names, and whoever comes second finds his work
// done. A compactor that was away for a day leaves every half minute of it openable.
//
// A file that holds the whole database is not copied from level to level: what it says stays where it is until a snapshot replaces it,
// and the level above begins after it.
//
// # Nothing goes before what replaces it is known to be right
//
// A new file is built in a temporary file, stored under a name that nobody has taken, and read back, every byte
// (package merge). Files are removed in another run, earliest when the grace is over, and only when
//
//   - what replaces them was read back whole, by this compactor or one before it;
//   - every moment that was promised to stay can still be opened without them: any that ends a file of level 1 or above for as long
//     as Retention says, single transactions for as long as L0Retention says. A whole database at level 0 counts as a
//     snapshot;
//   - they do not end their level, where followers and writers look for news.
//
// Afterwards the bucket is listed: a store that says yes and deletes nothing is [ErrNotDeleted].
//
// The grace protects who has begun to read. Who chooses a file at the very moment it goes has to find the same moment in
// other files, as readers do.
//
// # Others
//
// Being cut off at any point is harmless, and so are several compactors of this kind. Another program that compacts the same
// replica, a live Litestream, is left alone: a recent file of level 1 to 8 that is not recorded as ours means that
// somebody else does the work, and the plan says [Plan.Deferred]. The record is an object beside the levels, litefs-s3/compact.json. A
// Litestream with an interval of level 1 above ten minutes is not noticed in time: do not run both.
//
// # What is not promised
//
// Inputs larger than 8 MiB are checked frame by frame, as far as they are read, and not against their checksum. Ages are taken from the
// clock here and the times the store gives objects: a clock that is a day ahead shortens Retention by a day. A file that
// cannot be right stops its level, with an error at every run, until it is replaced or removed; removed, it is a gap.
package compact
