// Package wire is what the backends that speak HTTP share: a transport, a guard against connections on which nothing
// moves, and the checks that an answer is the range that was asked for.
package wire
