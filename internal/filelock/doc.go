// Package filelock keeps a file to one process, or to one open of it in a process, for as long as it is open. The locks are not those of SQLite.
package filelock
