// Package sandbox runs SQL that nobody has looked at on a replica, and lives on.
//
//	sb, err := sandbox.Open(ctx, store, sandbox.Limits{Memory: 64 << 20, Time: 2 * time.Second, Rows: 1000})
//	defer sb.Close()
//	rows, err := sb.Query(ctx, "SELECT id, name FROM users WHERE id > ?", 7)
//	for rows.Next() {
//		fmt.Println(rows.Values()...)
//	}
//	err = errors.Join(rows.Err(), rows.Close())
//
// SQLite and the reading half of litefs-s3 run as a WebAssembly module, in a memory of its own that cannot grow beyond Limits.Memory,
// without files, network or environment: what it reads are objects of the store, by requests that the host makes and counts. Each statement
// has a connection of its own on which everything but reading is refused.
//
// # What is bounded, and how
//
//   - Memory is the module's whole memory: SQLite, its page cache, and the Go program around it. SQLite has a part of it and
//     says when that is used up; the rest ends the instance. Either way it is [ErrMemory].
//   - Time is counted while the module runs. When it is over, or ctx ends, SQLite is asked to stop, as it is natively. An instance that has
//     not done so within a moment, for it is in one long function call, is ended: the module looks at a word of its memory in each of its
//     loops (see internal/stoppable), and the host sets it. That is [ErrTime], or ctx's error.
//   - Rows and Bytes are counted by the host as they come, and so is Fetch, which bounds what a statement reads of the store.
//
// An instance that was ended is thrown away, and the next statement gets a new one: 20 ms, and the replica is opened anew.
//
// # When not to use it
//
// Statements take many times as long as natively: docs/sandbox.md has figures. For SQL of one's own, and for that of colleagues, package
// guard bounds what matters at full speed. Memory of each instance is the host's: so many statements at once (Options.Instances) times
// Limits.Memory.
//
// # The module
//
// It is built by "make sandbox", and not part of the source. See [Options.Module] for where it is looked for. Compiling it takes 15 seconds of processor time
// the first time; what comes of it is kept in the user's cache directory.
package sandbox
