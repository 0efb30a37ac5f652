package sandbox

// WithSQL gives SQLite so many bytes, which may be more than there are.
func (o Options) WithSQL(bytes int64) Options {
	o.sql = bytes
	return o
}
