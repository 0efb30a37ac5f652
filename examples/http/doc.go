// Command http answers questions about a database that somebody else writes, also about its past.
package main
