//go:build sandbox_embed

package guest

import _ "embed"

//go:embed litefs-s3.wasm.gz
var embedded []byte
