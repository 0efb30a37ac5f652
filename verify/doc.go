// Package verify finds out whether a replica can be trusted, without trusting anything in it.
//
//	report := verify.Run(ctx, store, verify.Options{})
//	switch report.Outcome {
//	case verify.Good: …
//	case verify.Bad:     // report.Problems name files and pages
//	case verify.Unknown: // the store did not answer, or not everything was looked at
//	}
//
// # What is checked
//
// Each file by itself, read from its first byte to its last: the header against its name, the index (order, bounds, every page of a file that
// must hold all of them), every frame against the index and by decoding it, and the checksum over all that. Damage to any byte
// of a file is found, or makes no difference to any reader.
//
// Then the files with each other: that a chain of them leads to the newest transaction, that all say the same of a moment they share (size
// of the database, size of pages), and that a file holds every page by which the database grew. A snapshot with holes, which
// compaction would carry upwards, shows here, and not on the day of the restore.
//
// Then, if asked, a whole database: [Deep] builds it, and the caller runs PRAGMA integrity_check on it, for that takes SQLite. It is the
// only check that sees whether the writer put the right content into a page.
//
// # Outcomes
//
// Good, bad, and could not tell are three things. A store that refuses or times out says nothing about the replica. A file that is
// merged away while it is looked at is no problem as long as others hold what it held. A [Options.Budget] of time makes it a
// sample: files in random order, so that a run every night sees all of them in the end; the report says how much was seen.
//
// What it does not find: a page whose content is wrong in a well-formed file (Deep does, mostly), and transactions that were never
// uploaded.
//
// Memory is bounded: a window of a few MiB for each file that is being read, 2 to 6 bytes a page for its index, and a few words for
// each file.
package verify
