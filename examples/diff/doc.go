// Command diff shows which rows of a table have changed between two moments of a replica.
package main
