// Package page1 reads and changes the header of a database, in page 1; see "The Database Header" of SQLite's file format.
//
// Pages may end with a checksum, of SQLite's checksum VFS (https://sqlite.org/cksumvfs.html), which the driver verifies. What is changed
// here keeps it: one that was right stays right, and one that was wrong stays wrong.
package page1
