package guard

import (
	"strings"

	"github.com/ncruces/go-sqlite3"
)

// ReadOnly is an authorizer, for [sqlite3.Conn.SetAuthorizer], that lets SQL read the databases that are open and do nothing else: it may
// not write, not even temporary tables, attach, change a setting, begin a transaction, or load code. SQLite then says "not authorized".
func ReadOnly(action sqlite3.AuthorizerActionCode, first, second, _, _ string) sqlite3.AuthorizerReturnCode {
	switch action {
	case sqlite3.AUTH_SELECT, sqlite3.AUTH_READ, sqlite3.AUTH_RECURSIVE:
		return sqlite3.AUTH_OK
	case sqlite3.AUTH_FUNCTION:
		return allow(!reaching[strings.ToLower(second)])
	case sqlite3.AUTH_PRAGMA:
		argument, known := telling[strings.ToLower(first)]
		return allow(known && (argument || second == ""))
	}
	return sqlite3.AUTH_DENY
}

func allow(ok bool) sqlite3.AuthorizerReturnCode {
	if ok {
		return sqlite3.AUTH_OK
	}
	return sqlite3.AUTH_DENY
}

// reaching are functions that reach out of the database, where a build of SQLite has them.
var reaching = map[string]bool{
	"load_extension": true, "fts3_tokenizer": true, "readfile": true, "writefile": true, "edit": true, "sqlite_dbpage": true,
}

// telling are the pragmas that only tell. Those that are true take the name of what they tell about; to the others an argument
// would be something to set.
var telling = map[string]bool{
	"table_info": true, "table_xinfo": true, "table_list": true, "index_list": true, "index_info": true, "index_xinfo": true,
	"foreign_key_list": true,

	"database_list": false, "collation_list": false, "function_list": false, "module_list": false, "pragma_list": false,
	"compile_options": false, "encoding": false, "page_count": false, "page_size": false, "freelist_count": false,
	"user_version": false, "application_id": false, "schema_version": false, "data_version": false,

	"litestream_time": false, "litestream_txid": false, "litestream_durable_txid": false, "litestream_lag": false,
	"litestream_data_age": false, "litestream_behind": false,
}
