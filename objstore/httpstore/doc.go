// Package httpstore reads objects from a web server: a public bucket, a CDN, a folder behind nginx.
//
//	store, err := httpstore.Open("https://bucket.s3.amazonaws.com/app", httpstore.Options{})
//	part, err := store.ReadSuffix(ctx, objstore.Ref{Key: "0009/….ltx"}, 64<<10)
//
// Keys are relative to the URL. It never writes: Put and Delete are objstore.ErrReadOnly.
//
// The server must honour Range; one that sends whole objects instead serves those up to 4 MiB. It must not compress.
// If it sends no ETag, readers cannot tell that an object was replaced.
//
// List needs a server that speaks S3 to everybody: the ListObjectsV2 of a public bucket. It is looked for at the root
// of the host (bucket.example.com/app) and then at the first folder (example.com/bucket/app), once. With any other
// server List is objstore.ErrUnsupported, and says what to do.
package httpstore
