// Command orm is a small shop on GORM, whose database lies in a bucket.
package main
