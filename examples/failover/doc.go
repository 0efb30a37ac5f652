// Command failover keeps notes in a database that two processes want to write, one of them at a time.
package main
