// Package sigv4 signs URLs for S3 by hand, with AWS Signature Version 4 in the query.
//
//	signed := sigv4.Sign(u, credentials, "eu-central-1", time.Now(), time.Hour)
//
// It is for places where the SDK's own signer is too much: that one takes a *http.Request, and net/http is megabytes of a program
// for browsers. A signature in the query, and not in a header, also spares a browser the preflight request that it would
// make of every object before reading it.
//
// What is signed is a GET and its host. Headers such as Range are free.
package sigv4
