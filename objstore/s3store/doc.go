// Package s3store keeps objects in an S3 bucket: Amazon's, or that of any server that speaks the same protocol.
//
// A replica URL says where; everything else has a default:
//
//	cfg, prefix, err := s3store.ParseURL("s3://bucket/app?endpoint=http://localhost:9000")
//	store, err := s3store.Open(ctx, cfg)
//	replica := objstore.WithPrefix(objstore.Retry(store, objstore.RetryOptions{}), prefix)
//
// ParseURL understands what Litestream v0.5 understands, its forms of host and its query parameters included, and is
// stricter: a setting that is unknown, malformed or given twice is an error, never ignored.
//
// Credentials come from, in this order: [Config]; AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (with AWS_SESSION_TOKEN);
// LITESTREAM_ACCESS_KEY_ID and LITESTREAM_SECRET_ACCESS_KEY; then what the AWS SDK finds: web identity, shared profile,
// container and instance roles. Open resolves them once, so that a missing set is an error there and not a wait of
// seconds in every request. The region comes from Config, AWS_REGION, the profile, or the bucket itself.
//
// The store tries nothing twice: put [objstore.Retry] around it. What it does by itself is to end a request on which
// no byte moves, to upload large objects in parts, to follow the bucket to its region when nobody has named one, and
// to keep secrets out of errors.
package s3store
