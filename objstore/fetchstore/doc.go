// Package fetchstore reads objects with the browser's own fetch: js/wasm, in a Worker. It never writes.
//
//	place, err := fetchstore.ParseURL("s3://bucket/app?region=eu-central-1", credentials)
//	store := fetchstore.Open(place)
//
// net/http would do, and would make the program half as large again. What it does not know of is what matters in a browser:
//
//   - A request that is more than a plain GET costs a second one, the preflight: any Authorization, If-Match, and a Range that is
//     not "bytes=a-b". So signatures are in the query of the URL (package sigv4), and the version of an object is compared
//     when the answer is there.
//   - An answer that the page may not read looks like a network that failed. [Store] asks again, in the way in which a browser
//     tells no more than that there is an answer, and says [ErrCORS], or that the server cannot be reached.
//   - The browser's HTTP cache is not used: it would let parallel ranges of one object wait for each other, and keep a 404 that
//     means "no news yet".
//
// # Where objects are
//
// A [Place] makes URLs: [Web] a public bucket or a plain web server, [Bucket] one that wants signatures. Whoever has something else
// that gives out URLs brings a Place of his own.
package fetchstore
