// Package sqlgen makes up SQL: schemas, statements and queries as people write them, and as nobody does, from a seed. What it makes is
// the same for the same seed and needs no random function of SQLite's, so that two databases that get the same statements must give the
// same answers, row by row and error by error.
package sqlgen
