// Package policies holds the least that a reader, a writer and a compactor have to be allowed, as policies of AWS for the prefix PREFIX
// in the bucket BUCKET.
package policies

import _ "embed"

//go:embed reader.json
var Reader string

//go:embed writer.json
var Writer string

//go:embed compactor.json
var Compactor string
