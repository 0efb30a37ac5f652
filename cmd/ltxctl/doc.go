// Command ltxctl keeps Litestream replicas and looks into them, where they lie: it runs SQL on any moment of them and draws their
// history without restoring anything; it merges, restores, verifies, pushes and repairs them; and it says who writes.
//
// main.go gives the process's world to a cli (root.go), which has one file for each command. What commands share stands in files named
// for it: replicaview.go opens a replica, damagedhead.go one whose newest files are damaged, span.go reads stretches of time. What they say is
// made in internal: inspect finds out, render draws, diagnose is doctor's, sqlrun runs SQL, localdb reads databases that are in use, rowdiff
// compares rows, demo makes a replica.
package main
