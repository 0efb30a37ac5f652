package wasiabi

// Module is the name of the imports that the host provides.
const Module = "litefs_s3"

// Version is that of this ABI. A guest and a host of different versions do not work together.
const Version = 1

// Tick is the import that the module calls in its loops, every so often: see package stoppable.
const Tick = "tick"

// States are the first byte of what an export returns.
const (
	More  = 0 // and, for what has no end, that all is well
	End   = 1
	Error = 2 // JSON follows: a Failure
)

// Kinds of a Failure, as far as callers act on them.
const (
	KindSQL         = "sql"         // the statement is wrong, or failed
	KindDenied      = "denied"      // the statement asks for what it may not do
	KindMemory      = "memory"      // SQLite needs more than it may have
	KindTooBig      = "too_big"     // a value, or the statement itself, is longer than it may be
	KindInterrupted = "interrupted" // the host wanted it to stop
	KindStore       = "store"       // the host could not read an object
	KindCorrupt     = "corrupt"     // the replica's bytes cannot be right
	KindExpired     = "expired"     // the moment that was read is not in the bucket any more
	KindNotFound    = "not_found"   // there is no replica, or not at this moment
	KindUsage       = "usage"       // the host asked for what makes no sense
)

// Failure is why something did not work.
type Failure struct {
	Kind    string `json:"kind"`
	Message string `json:"message"`
}

// Open is what the guest is opened with.
type Open struct {
	Version int    `json:"version"`
	Time    string `json:"time,omitempty"` // a moment, as people write it; empty is the newest one
	TXID    string `json:"txid,omitempty"` // a transaction, in hexadecimal
	Memory  int64  `json:"memory"`         // bytes that the instance may have in all; 0 is no bound
	SQL     int64  `json:"sql_memory"`     // bytes of it for SQLite; 0 is 32 MiB
	Cache   int64  `json:"cache_size"`     // bytes of it for pages; 0 is 8 MiB
	Poll    int64  `json:"poll_interval"`  // milliseconds between two looks for news; 0 is 1000, less than that is never
}

// Opened is what opening says.
type Opened struct {
	TXID     string `json:"txid"`
	Time     string `json:"time"` // RFC 3339
	PageSize uint32 `json:"page_size"`
	Pages    uint32 `json:"pages"`
}

// Operations of a Request.
const (
	OpRead   = "read"   // N bytes from Off, all of them
	OpSuffix = "suffix" // the last N bytes
	OpPrefix = "prefix" // the first N bytes
	OpList   = "list"   // one page of the objects that begin with Key, after After
)

// Request is what the guest wants from the store. Keys begin below the replica's prefix.
type Request struct {
	Op    string `json:"op"`
	Key   string `json:"key"`
	ETag  string `json:"etag,omitempty"`
	Off   int64  `json:"off,omitempty"`
	N     int64  `json:"n,omitempty"`
	After string `json:"after,omitempty"`
}

// Codes of a Reply that failed.
const (
	CodeNotFound    = "not_found"
	CodeNoBucket    = "no_bucket"
	CodeChanged     = "changed"
	CodeShort       = "short"
	CodeAccess      = "access"
	CodeUnsupported = "unsupported"
	CodeTemporary   = "temporary"
	CodeBudget      = "budget" // the host does not read any more for this query
	CodeOther       = "other"
)

// Reply is the answer to a Request. The bytes that were read follow it.
type Reply struct {
	Code    string   `json:"code,omitempty"` // empty is success
	Message string   `json:"message,omitempty"`
	Off     int64    `json:"off,omitempty"`
	Size    int64    `json:"size,omitempty"` // of the whole object
	ETag    string   `json:"etag,omitempty"`
	Objects []Object `json:"objects,omitempty"`
	More    bool     `json:"more,omitempty"`
}

// Object is one of a listing.
type Object struct {
	Key      string `json:"key"`
	Size     int64  `json:"size"`
	ETag     string `json:"etag,omitempty"`
	Modified int64  `json:"modified,omitempty"` // milliseconds since 1970
}
