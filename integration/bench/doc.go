// Command bench measures how fast replicas are opened, read, followed and taken back in time, and holds the figures
// against the budgets of the design:
//
//	go run ./integration/bench                                  # everything: tables, then the budgets
//	go run ./integration/bench -quick                           # the 109 MB database alone
//	go run ./integration/bench -only open,scan -latency 25ms -count 5
//	go run ./integration/bench -benchfmt -count 6 > old.txt     # and on another commit new.txt; then benchstat compares
//	go run ./integration/bench -only scan -rate 125MB           # a link of 1 Gbit/s
//	go run ./integration/bench -only peers -latency 25ms        # beside Litestream's VFS extension and others
//
// # The set-up
//
// A real MinIO holds a chain of forty files over a database of 109 MB ("small") and one of 1.07 GB ("large"), as package
// replicagen makes them, and a copy of the small one that still has the files its own were merged from ("history"). Before
// the server stands a proxy that delays the first byte of every answer and counts requests, bytes and waves. Bucket
// and databases are made once and kept in the user's cache directory.
//
// The proxy runs in this process. Each measurement runs in a process of its own, the same executable once more, so that
// nothing is warm but the operating system's file cache, and profiles and memory are the reader's alone. All of them share the
// machine's cores; what they are compared with, plain range GETs and a local file, is measured in the same process
// between the same seconds.
//
// # Peers
//
// The measurement "peers" does the same work, with the same statements and the same random rows, by this project (litefs-s3), by
// the VFS extension of Litestream in the C SQLite (litestream), on the plain file with the driver of this project (local) and with
// the C SQLite (local-c), and by plain GETs through this project's client (raw): the least that could answer. All of them have
// their default settings, but for polls, which are off; answers are compared. Each begins each piece of work with a new connection
// and nothing in memory, Litestream in a new process. Time does not count what it takes to start that process and to load the extension.
//
// # Words
//
// A wave begins with a request that arrives when none is in flight, depth is the longest chain of requests each of which
// began after the one before was answered; see package slowproxy. "Needed" are the bytes that a scan asked for, each counted
// once. "Raw" is the fastest of four ways to fetch the same bytes by plain range GETs through the same client.
//
// With -count the median is shown.
package main
