module github.com/litefs-s3/litefs-s3/integration/servers/vfshost

go 1.26.0

require github.com/mattn/go-sqlite3 v1.14.53
