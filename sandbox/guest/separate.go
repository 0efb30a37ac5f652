//go:build !sandbox_embed

package guest

// embedded is the module in this program: none.
var embedded []byte
