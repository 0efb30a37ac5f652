// Package wire is what the backends over net/http share: a transport, a guard against connections on which nothing moves, and
// what to say of a request that died.
package wire
