// Webworld is what the browser tests of web/test work against: a page's server, real MinIO, a real Litestream that keeps writing, and
// servers that do things wrong. It prints one line of JSON that says where everything is, and lives until its standard input ends.
package main
