// Command sidecar is both ends of a replica that Litestream keeps: "sidecar write" adds an event a second to a local database, "sidecar
// read" answers with the newest ones out of the bucket.
package main
